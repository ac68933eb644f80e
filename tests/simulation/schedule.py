"""One random schedule: a seed, virtual time, and all events in its order.

`Simulation.run` is everything; what calls meet on their way is `carriage`, what people do is `people`.
"""

import asyncio
import heapq
import logging
import random
from dataclasses import dataclass

import structlog

from tests.simulation.calls import Call, Login, News, Served, Sleep
from tests.simulation.carriage import Carriage
from tests.simulation.convergence import check_converged, check_others_on_time
from tests.simulation.faults import draw
from tests.simulation.instance import Instance
from tests.simulation.invariants import Audit, Violation, check_client
from tests.simulation.people import People
from tests.simulation.proxies import Client
from tests.simulation.story import Story, Untold
from tests.simulation.task import Task
from tests.simulation.world import INTERVAL, World

__all__ = ["Report", "Simulation", "quiet_logs", "simulate", "simulate_all"]

FAULTS_FOR = 1.6 * INTERVAL.total_seconds()
CALM_FOR = 1.34 * INTERVAL.total_seconds() + 200  # an interval, and a third where a user was contended


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one schedule."""

    seed: int
    violation: str | None
    events: int
    states: frozenset
    story: tuple[str, ...] = ()


def quiet_logs():
    """The product's log says nothing: it is told a million rotations."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def simulate(seed, *, instances=None, temper=None, told=False):
    """Run one schedule. To be called inside a running event loop, which does nothing (see `simulate_all`)."""
    return Simulation(seed, instances=instances, temper=temper, told=told).run()


class Simulation:
    """The events that are to come, and who is told when they do."""

    def __init__(self, seed, *, instances=None, temper=None, told=False):
        self.seed = seed
        self.faults_end = FAULTS_FOR
        self.undisturbed = None
        self.rng = random.Random(seed)
        self.temper = temper or draw(self.rng)
        self.world = World(self._modified)
        self._events = []
        self._number = 0
        self.count = 0
        self.states = set()
        self._woken = {}
        self._channel_free_at = {}
        self.story = Story(self.world) if told else Untold()
        self._add_users()
        self.audit = Audit(self.world)
        self.carriage = Carriage(self)
        self.people = People(self)
        number = instances or self.rng.choice((1, 2, 3, 3))
        for one in range(1, number + 1):
            instance = Instance(one, self.world, self, chance=self.rng.random, spread=self.temper.spread)
            self.audit.instances.append(instance)
        self.instances = self.audit.instances

    def _add_users(self):
        interval = INTERVAL.total_seconds()
        age = self.rng.choice((None, 0.0, 0.9 * interval, interval, 1.5 * interval))
        self.world.add("app", endpoints=self.rng.choice((1, 2)), age=age)
        if self.rng.random() < 0.25:
            self.world.add("other", endpoints=1, age=self.rng.uniform(0, interval))

    def run(self):
        """Everything, until it has converged or an invariant broke."""
        violation = None
        try:
            self._begin()
            end = FAULTS_FOR + CALM_FOR
            while self._events and self._events[0][0] <= end:
                self._next()
            self.world.now = end
            check_converged(self)
        except Violation as found:
            violation = str(found)
            self.story.tell("VIOLATED", violation)
        for instance in self.instances:
            instance.crash()
        lines = tuple(self.story.lines) if self.story.told else ()
        return Report(self.seed, violation, self.count, frozenset(self.states), lines)

    def _begin(self):
        if self.story.told:
            self.story.tell("temper", repr(self.temper))
        for instance in self.instances:
            self.at(self.rng.random(), None, self._start, instance)
        self.people.begin()
        self.at(self.rng.random() * self.temper.clients_every, None, self._clients_come)

    def _next(self):
        moment, _, owner, epoch, act, arguments = heapq.heappop(self._events)
        if owner is not None:
            if owner.epoch != epoch:
                return
            if owner.frozen_until > moment:
                self.at(owner.frozen_until, owner, act, *arguments)
                return
        self.world.now = moment
        self.count += 1
        act(*arguments)
        changed = self.audit.changed
        self.audit.check()
        check_others_on_time(self)
        if changed:
            self.states.add(self._fingerprint())

    # What the parts ask of the schedule.

    @property
    def faulty(self):
        """Faults may still happen."""
        return self.world.now < FAULTS_FOR

    def at(self, moment, owner, act, *arguments):
        """Do something then; not if its owner has crashed, and later if it is frozen."""
        self._number += 1
        epoch = owner.epoch if owner is not None else 0
        heapq.heappush(self._events, (moment, self._number, owner, epoch, act, arguments))

    def after(self, seconds, owner, act, *arguments):
        """The same, so many seconds from now."""
        self.at(self.world.now + seconds, owner, act, *arguments)

    def issue(self, task, question):
        """A task asks."""
        match question:
            case Call():
                self.carriage.send(task, question)
            case Login():
                self.after(self.rng.uniform(0.005, 0.05), task.owner, self._log_in, task, question)
            case Sleep(seconds=seconds):
                self.after(seconds, task.owner, self.answer, task, None)
            case Served(key=key, version=version, within=within):
                self._wait_until_served(task, key, version, self.world.now + within)
            case News():
                self._wait_for_news(task, question)

    def wake(self, instance):
        """An instance's earliest look may have moved."""
        at = instance.rotations.next_at()
        planned = self._woken.get(instance)
        if at is not None and (planned is None or planned[0] != instance.epoch or at < planned[1]):
            self._woken[instance] = (instance.epoch, at)
            self.at(max(at, self.world.now), instance, self._start_due, instance)

    def publish(self, instance, message):
        """A rotator tells its proxy, in order."""
        free = max(self._channel_free_at.get(instance, 0.0), self.world.now)
        arrival = self._channel_free_at[instance] = free + self.rng.uniform(0.001, 0.2)
        self.at(arrival, None, self._tell_proxy, instance, instance.epoch, message)

    def ended(self, task):
        """A task is over."""
        if task.owner is not None:
            self.audit.ended(task)

    def answer(self, task, answer):
        """A task gets its answer."""
        if task.owner is None:
            task.step(answer)
        else:
            task.owner.resume(task, answer)

    # What the rest of the world does.

    def _start(self, instance):
        if not instance.up:
            self.story.tell(instance.name, "starts")
            instance.start()

    def _start_due(self, instance):
        self._woken.pop(instance, None)
        instance.start_due()
        self.wake(instance)

    def _log_in(self, task, question):
        if task.owner is not None:
            task.logged_in[question.user_id] = self.world.now
        endpoint = question.endpoint
        let_in = question.password in endpoint.taken[question.user_id] if endpoint.up else None
        if self.story.told:
            who = task.owner.name if task.owner is not None else task.name
            said = {True: "accepted", False: "rejected", None: "unreachable"}[let_in]
            self.story.tell(who, f"{said} at {endpoint.name}: {self.story.passwords([question.password])}")
        self.answer(task, let_in)

    def _modified(self, user):
        for endpoint in list(user.to_take):
            self.after(self.rng.uniform(0.05, self.temper.propagation), None, self._take, user, endpoint)

    def _take(self, user, endpoint):
        if endpoint in user.to_take:
            self.world.aws.take(user, endpoint)
            self.audit.taken(self.world.subjects[user.id])
            self.story.tell("aws", f"{endpoint.name} takes the passwords", self.world.subjects[user.id])

    def _tell_proxy(self, instance, epoch, message):
        told = instance.proxy.take(message)
        if self.story.told:
            knows = {
                c.username: self.world.name("v", c.version)
                for c in instance.proxy.directory.credentials.values()
            }
            self.story.tell(f"proxy{instance.number}", f"knows {knows}")
        self.after(self.rng.uniform(0.001, 0.1), None, self._acknowledge, instance, epoch, message.version)
        for task in told:
            task.step(True)

    def _acknowledge(self, instance, epoch, version):
        if instance.epoch != epoch or not instance.up:
            return
        # In order, as on a socket: this one may have been drawn to come before an earlier one.
        instance.proxy.acknowledged = max(instance.proxy.acknowledged, version)
        for task in list(instance.tasks):
            if isinstance(task.question, Served) and instance.serves(
                task.question.key, task.question.version
            ):
                question = task.question
                self.after(0.0, instance, self._served, task, question)

    def _wait_until_served(self, task, key, version, deadline):
        delay = 0.0 if task.owner.serves(key, version) else deadline - self.world.now
        self.after(delay, task.owner, self._served, task, task.question)

    def _served(self, task, question):
        if task.question is question:
            self.answer(task, task.owner.serves(question.key, question.version))

    def _clients_come(self):
        for subject in self.world.subjects.values():
            self.connect(subject, self.rng.choice(self.instances))
        self.after(self.rng.expovariate(1 / self.temper.clients_every), None, self._clients_come)

    def connect(self, subject, instance):
        """A client comes by this instance's proxy."""
        reachable = subject.reachable
        if not reachable:
            return
        client = Client(subject, instance.proxy, self.rng.choice(reachable), self.world.now)
        task = Task(
            client.connect(),
            "client",
            None,
            self.issue,
            lambda task: self._connected(client, task),
            self.world.now,
        )
        task.step()

    def _connected(self, client, task):
        check_client(self.audit, client, task.result)

    def _wait_for_news(self, task, question):
        proxy = question.proxy
        proxy.waiting.append((task, question))
        instance = self.instances[proxy.number - 1]
        if instance.up and proxy.may_report(question.key, self.world.now):
            self.story.tell(f"proxy{proxy.number}", "reports that both passwords were refused")
            self.after(self.rng.uniform(0.001, 0.05), instance, instance.refused, question.key)
        self.at(question.deadline, None, self._give_up, task, question)

    def _give_up(self, task, question):
        if task.question is question:
            question.proxy.waiting = [one for one in question.proxy.waiting if one[0] is not task]
            task.step(False)

    def _fingerprint(self):
        """The state without names and times: how often have we been anywhere new?"""
        parts = []
        for subject in self.world.subjects.values():
            labels = subject.labels
            ranks = {subject.value(one).password: rank for rank, one in enumerate(labels) if one is not None}
            lists = [subject.record.passwords, *(one.taken[subject.id] for one in subject.endpoints)]
            live = subject.live(labels) is not None
            parts.append((live, labels[1] is None, labels[2] is None, subject.record.status))
            parts.append(tuple(tuple(ranks.get(password, -1) for password in one) for one in lists))
            for instance in self.instances:
                known = instance.proxy.credential(str(subject.key))
                place = labels.index(known.version) if known and known.version in labels else known is None
                parts.append((place, instance.up, instance.frozen))
        parts.extend(
            tuple(
                getattr(task.question, "operation", type(task.question).__name__) for task in instance.tasks
            )
            for instance in self.instances
        )
        return hash(tuple(parts))


def simulate_all(seeds, **options):
    """The reports of all these seeds, one after the other.

    The product asks for a running event loop where it makes futures; it is given one in which nothing ever waits.
    """

    async def collect():
        return [simulate(seed, **options) for seed in seeds]

    return asyncio.run(collect())
