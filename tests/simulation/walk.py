"""One path through everything that instances can do to each other: the events are chosen, not drawn.

- `step`: a run's question is answered: a call has its effect and its answer, and the run goes on to its next question.
  A rival's change between effect and answer is the same as one right after the answer, so the two are one event.
  So are the reading of a version, whose content never changes, and what leads to it.
- `take`: an endpoint hears of the new passwords. `tell`: a proxy hears of a credential, and acknowledges it.
- `crash` and `start`: with everything in memory lost in between.
- `wait`: time passes to the next timer. It does so only where nothing else can happen, or where all that could is an
  instance's own doing: then that instance stands still, which is its pause, until it steps.

There is no time between other events, so no timer runs out while somebody has something to do. A walk is over when
nothing is left to do before the next regular look at the user.
"""

from tests.simulation.calls import Call, Login, Served, Sleep
from tests.simulation.instance import Instance
from tests.simulation.invariants import Audit, Violation
from tests.simulation.story import Story, Untold
from tests.simulation.world import INTERVAL, World

__all__ = ["LONGEST_WAIT", "SCENARIOS", "Walk"]

SCENARIOS = {
    "a due rotation": {"age": INTERVAL.total_seconds()},
    "an adoption": {"age": None},
    "a retirement": {"age": 100.0, "retire": True},
}
LONGEST_WAIT = 65.0  # seconds: the longest backoff; the next regular look is much later


class Walk:
    """The world, its instances, and what may happen next.

    Args:
        scenario: one of `SCENARIOS`.
        crashes: how often each instance may be killed.
        pauses: how often each may stand still.
        instances: how many there are.
        prompt: proxies hear of everything at once, so that `tell` does not occur.
        told: keep a story.
    """

    def __init__(self, scenario, *, crashes, pauses, instances=2, prompt=False, told=False):
        settings = SCENARIOS[scenario]
        self.world = World(lambda _: None)
        self.subject = self.world.add("app", endpoints=1, age=settings["age"])
        self.story = Story(self.world) if told else Untold()
        self.audit = Audit(self.world)
        self.instances = [
            Instance(n, self.world, self, chance=lambda: 0.5, spread=0.0) for n in range(1, instances + 1)
        ]
        self.audit.instances.extend(self.instances)
        self._prompt = prompt
        self.retire = settings.get("retire", False)
        self.crashes = dict.fromkeys(self.instances, crashes)
        self.pauses = dict.fromkeys(self.instances, pauses)
        self.paused = dict.fromkeys(self.instances, False)
        self.channels = {instance: [] for instance in self.instances}
        self.timers = {}
        self.parts = {}  # what `fingerprint` has read of the world and of each instance since they last changed
        for instance in self.instances:
            instance.start()
        if self.retire:
            self.instances[0].rotations.ask(["app"], asked_by="somebody", retire=True)

    def close(self):
        """Let go of all runs."""
        for instance in self.instances:
            instance.crash()

    # What instances ask of a schedule.

    def issue(self, task, question):
        """A run asks: what takes time gets a timer."""
        if isinstance(question, Sleep):
            self.timers[task] = self.world.now + question.seconds
        elif isinstance(question, Served):
            self.timers[task] = self.world.now + question.within

    def wake(self, instance):
        """Who is due is asked of the door itself."""

    def publish(self, instance, message):
        """To the proxy, in order."""
        self.channels[instance].append(message)
        if self._prompt:
            self._tell(self.instances.index(instance))

    def ended(self, task):
        """A run is over."""
        self.timers.pop(task, None)
        self.audit.ended(task)

    # What may happen.

    def choices(self):
        """All that may happen next; nothing: the walk is over."""
        found, busy = [], []
        for number, instance in enumerate(self.instances):
            if not instance.up:
                found.append(("start", number))
            elif self._can_step(instance):
                busy.append(instance)
                found.append(("step", number))
            if instance.tasks and self.crashes[instance]:
                found.append(("crash", number))
            if self.channels[instance]:
                found.append(("tell", number))
        found.extend(("take", number) for number in range(len(self.subject.record.to_take)))
        others = any(kind in {"take", "tell"} for kind, _ in found)
        may_stand = all(self.paused[instance] or self.pauses[instance] for instance in busy)
        if not others and may_stand and self._next_timer(busy) is not None:
            found.append(("wait", 0))
        return found

    def is_fault(self, choice):
        """Whether it takes a crash or a pause that is left."""
        kind, _ = choice
        return kind == "crash" or (
            kind == "wait"
            and any(
                instance.up and self._can_step(instance) and not self.paused[instance]
                for instance in self.instances
            )
        )

    def _can_step(self, instance):
        for task in instance.tasks:
            question = task.question
            if (
                isinstance(question, Call | Login)
                or self.timers.get(task, self.world.now + 1) <= self.world.now
            ):
                return True
            if isinstance(question, Served) and instance.serves(question.key, question.version):
                return True
        at = instance.rotations.next_at()
        return at is not None and at <= self.world.now

    def _next_timer(self, standing):
        """The next moment at which anything happens to those who do not stand still."""
        moments = []
        for instance in self.instances:
            if instance.up and instance not in standing:
                moments.extend(self.timers[task] for task in instance.tasks if task in self.timers)
                if (at := instance.rotations.next_at()) is not None:
                    moments.append(at)
        first = min(moments, default=None)
        return first if first is not None and first <= self.world.now + LONGEST_WAIT else None

    def take(self, choice, *, checked=True):
        """Let one of them happen; not `checked`, where it is known to be well.

        Raises:
            Violation: an invariant does not hold.
        """
        kind, number = choice
        if kind == "wait":
            self.parts.clear()
        else:
            self.parts.pop(self.world, None)
            if kind != "take":
                self.parts.pop(self.instances[number], None)
        getattr(self, f"_{kind}")(number)
        if checked:
            self.audit.check()
            check_proxies(self)

    def _step(self, number):
        instance = self.instances[number]
        self.paused[instance] = False
        for task in instance.tasks:
            question = task.question
            due = self.timers.get(task, self.world.now + 1) <= self.world.now
            served = isinstance(question, Served) and instance.serves(question.key, question.version)
            if isinstance(question, Call | Login) or due or served:
                self.timers.pop(task, None)
                self._answer(instance, task, question, served=served)
                break
        else:
            instance.start_due()

        self._read_on(instance)

    def _read_on(self, instance):
        """What a version holds is the same whenever it is read."""
        for task in list(instance.tasks):
            while isinstance(task.question, Call) and task.question.operation == "get_secret_value":
                self._call(instance, task, task.question)

    def _answer(self, instance, task, question, *, served):
        match question:
            case Call():
                self._call(instance, task, question)
            case Login(endpoint=endpoint, password=password):
                task.logged_in[self.subject.id] = self.world.now
                instance.resume(task, self.subject.accepts(endpoint, password))
            case Served():
                instance.resume(task, served)
            case Sleep():
                instance.resume(task)

    def _call(self, instance, task, call):
        if call.changes:
            self.audit.sends(task, call)
        found = self.audit.before(call, task) if call.changes else None
        answer, error = self.world.aws.attempt(call)
        if self.story.told:
            self.story.tell(
                instance.name, f"{self.story.call(call)}{f' ✗ {error.code}' if error else ''}", self.subject
            )
        if error is None and call.changes:
            self.audit.after(call, task, found)
            self.audit.answered(task)
        elif error is None and call.operation == "describe_secret":
            self.audit.looks(task, call)
        instance.resume(task, answer, error)

    def _crash(self, number):
        instance = self.instances[number]
        self.story.tell(instance.name, "is killed")
        self.crashes[instance] -= 1
        self.paused[instance] = False
        for task in instance.tasks:
            self.timers.pop(task, None)
        self.channels[instance].clear()
        instance.crash()

    def _start(self, number):
        self.story.tell(f"i{number + 1}", "starts")
        self.instances[number].start()

    def _tell(self, number):
        instance = self.instances[number]
        message = self.channels[instance].pop(0)
        instance.proxy.take(message)
        instance.proxy.acknowledged = message.version
        self.story.tell(f"proxy{number + 1}", "hears of it")

    def _take(self, number):
        record = self.subject.record
        self.world.aws.take(record, record.to_take[number])
        self.audit.taken(self.subject)
        self.story.tell("aws", "an endpoint takes the passwords", self.subject)

    def _wait(self, _number):
        standing = [instance for instance in self.instances if instance.up and self._can_step(instance)]
        moment = self._next_timer(standing)
        for instance in standing:
            if not self.paused[instance]:
                self.paused[instance] = True
                self.pauses[instance] -= 1
                self.story.tell(instance.name, "stands still")
        self.world.now = moment

    def check_end(self):
        """What has to be true where nothing is left to do: I4 without faults to come."""
        subject = self.subject
        current = subject.current
        if current is None or not subject.works:
            raise Violation("I4: it ended without a password that works")
        if subject.live(subject.labels) is not None:
            raise Violation("I4: a pending version was left behind")
        if not self.retire and (subject.age > INTERVAL.total_seconds() / 2):
            raise Violation("I4: it ended without a rotation")
        if not self.retire and len(subject.secret.versions) > 2:
            raise Violation("I3: a due rotation made more than one version")
        if current.retire and subject.record.passwords != (current.password,):
            raise Violation("I4: what was to be retired is still valid")


def check_proxies(walk):
    """I2, in the strong form: whatever a proxy knows logs in. A retirement may make it ask its rotator first."""
    if walk.retire:
        return
    for instance in walk.instances:
        credential = instance.proxy.credential(str(walk.subject.key))
        if credential is None:
            continue
        known = [
            one.get_secret_value() for one in (credential.current, credential.previous) if one is not None
        ]
        for endpoint in walk.subject.endpoints:
            if not any(walk.subject.accepts(endpoint, password) for password in known):
                raise Violation(f"I2: {instance.name}'s proxy knows no password that {endpoint.name} accepts")
