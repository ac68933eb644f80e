"""One instance: the product's own engine, door, vault, reads and catalogue, with the world's I/O.

What stands here instead of `rotator.service`, `rotator.publisher` and `rotator.schedule` is their wiring only.
"""

from datetime import timedelta

from discovery.model import Authentication, UserStatus
from rotator.catalogue import Catalogue
from rotator.engine import Account, Engine
from rotator.observation import Logins
from rotator.rotations import Rotations
from rotator.secrets import Vault
from rotator.standing import credential_of
from rotator.users import ElastiCacheUsers, SharedReads
from tests.simulation.calls import Door, Login, Served, Sleep, ask
from tests.simulation.proxies import Proxy
from tests.simulation.task import Task
from tests.simulation.world import INTERVAL, PREFIX

__all__ = ["Instance"]


class Instance:
    """A rotator that can be killed, started again and frozen.

    Args:
        number: its name in stories.
        world: the world.
        schedule: answers its questions (`issue`), wakes it (`wake`), carries its messages (`publish`), hears of ends.
        chance: 0 to 1.
        spread: seconds; `rotation.jitter`.
    """

    def __init__(self, number, world, schedule, *, chance, spread):
        self.number = number
        self.name = f"i{number}"
        self.world = world
        self.schedule = schedule
        self.proxy = Proxy(number)
        self.epoch = 0  # grows with each crash: what belongs to an earlier life is ignored
        self.up = False
        self.frozen_until = 0.0
        self.cut_off_until = 0.0  # from AWS
        self.troubled_at = 0.0  # the last time that a fault touched it, which may be still to come
        self.observed_at = {}  # user key → when it last read the user's labels
        self.released_at = {}  # user id → since when it knows the tag to be gone
        self.tasks = []
        self._chance = chance
        self._spread = spread

    # Its life.

    def start(self):
        """From nothing: it knows only what it is told from now on."""
        self.up = True
        self.troubled_at = self.world.now
        door = Door(self.world)
        self.vault = Vault(door, prefix=PREFIX)
        users = ElastiCacheUsers(door)
        self._account = Account(self.vault, SharedReads(users), users, door.now)
        self.catalogue = Catalogue()
        self.greeted = False
        self.proxy.acknowledged = -1
        self.engine = Engine(
            interval=INTERVAL,
            verifier=self,
            listener=self,
            acknowledged=self._acknowledged,
            sleep=_sleep,
            chance=self._chance,
        )
        self.rotations = Rotations(
            self.engine,
            lambda _: self._account,
            interval=INTERVAL,
            spread=timedelta(seconds=self._spread),
            on_standing=self._take_standing,
            on_rotation=lambda _: None,
            on_schedule=lambda: self.schedule.wake(self),
            clock=lambda: self.world.now,
            chance=self._chance,
        )
        self.discover()

    def crash(self):
        """SIGKILL. The proxy keeps what it was last told."""
        self.epoch += 1
        self.up = False
        self.frozen_until = self.cut_off_until = 0.0
        tasks, self.tasks = self.tasks, []
        for task in tasks:
            task.close()

    def trouble(self, until):
        """A fault touches it, until then."""
        self.troubled_at = max(self.troubled_at, until)

    def discover(self):
        """Its discovery reads the tags."""
        inventory = self.world.inventory()
        released = set()
        for subject in self.world.subjects.values():
            if subject.managed:
                self.released_at.pop(subject.id, None)
            else:
                self.released_at.setdefault(subject.id, self.world.now)
                if subject.secret is not None and subject.user.authentication is Authentication.PASSWORD:
                    released.add(subject.key)
        self._publish(self.catalogue.take_inventory(inventory, released))
        self.rotations.take_inventory(inventory, released)

    @property
    def frozen(self):
        return self.frozen_until > self.world.now

    # Its runs.

    def start_due(self):
        """What the schedule's job does."""
        self.rotations.start_due(self)

    def create_task(self, coroutine, name):
        """What `start_due` believes to be a task group."""
        task = Task(coroutine, name, self, self.schedule.issue, self._ended, self.world.now)
        self.tasks.append(task)
        self.resume(task)

    def resume(self, task, answer=None, error=None):
        """Go on with a run, and with those that waited for what it held."""
        task.step(answer, error)
        while freed := next((one for one in self.tasks if one.parked and one.question.done()), None):
            freed.step()

    def _ended(self, task):
        self.tasks.remove(task)
        self.schedule.ended(task)

    # What the engine is given.

    async def logins(self, databases, username, _password):
        """`rotator.verify.Verifier`: each endpoint is asked at a moment of its own."""
        password = _password.get_secret_value()
        outcomes = [
            await ask(Login(endpoint, username, password))
            for endpoint in self.world.subjects[username].endpoints
        ]
        return Logins(outcomes.count(True), outcomes.count(False), outcomes.count(None))

    @staticmethod
    async def _acknowledged(key, version, within):
        return await ask(Served(str(key), version, within))

    def observed(self, user, state, secret):
        """`rotator.engine.Listener`."""
        if state.status is UserStatus.ACTIVE or secret is not None:
            self.observed_at[user.key] = self.world.now
        self.rotations.saw(user, state, secret)

    def stepped(self, user, row, seen):
        """`rotator.engine.Listener`."""

    # What `rotator.publisher` does.

    def serves(self, key, version):
        """Whether its proxy has acknowledged a version of a credential."""
        since = self.catalogue.since(key, version)
        return since is None or self.proxy.acknowledged >= since

    def _take_standing(self, standing):
        credential = credential_of(standing)
        if credential is not None:
            self._publish(self.catalogue.take_credentials([credential]))
        elif not standing.care.has_secret:
            self._publish(self.catalogue.drop_credentials([str(standing.key)]))

    def _publish(self, update):
        if update is None:
            return
        self.schedule.publish(self, update if self.greeted else self.catalogue.directory)
        self.greeted = True

    def refused(self, key):
        """Its proxy found all that it knows of a credential refused."""
        subject = next(one for one in self.world.subjects.values() if str(one.key) == key)
        epoch = self.epoch

        def answer():
            if epoch == self.epoch:
                self._publish(self.catalogue.again(key))

        self.rotations.look_now(subject.key, answer)


async def _sleep(seconds):
    await ask(Sleep(seconds))
