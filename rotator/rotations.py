"""The one door to a rotation: scheduled, asked for, or because a proxy was refused. Never one user twice at once."""

import asyncio
import random
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog

from discovery.errors import AwsError, PermanentError, RetryableError
from discovery.model import Inventory, User, UserKey, UserState
from rotator.due import DueQueue
from rotator.engine import Account, Engine, Outcome, Result, Wish
from rotator.errors import UnknownUserError, UsageError
from rotator.looks import Looks, is_stuck
from rotator.observation import Secret, due_at
from rotator.requests import Request, Rotation, finished, together
from rotator.standing import Care, Standing, care_of
from rotator.telling import tell, tell_of_stretching

__all__ = ["Rotations"]

_log = structlog.get_logger(__name__)

_KEPT = 1000  # finished rotations to show
_ASKED_KEPT = 20_000  # requests whose end can still be asked for
_ROTATED = frozenset({Result.ROTATED, Result.ADOPTED})


@dataclass(slots=True)
class _Entry:
    """What the door keeps of one user."""

    standing: Standing
    requests: list[Request] = field(default_factory=list)
    running: bool = False
    again: bool = False  # somebody asked while it ran
    waits: int = 0  # runs in a row that had to wait
    stuck: bool = False  # somebody has to change something: the next discovery may find it changed
    then: list[Callable[[], None]] = field(default_factory=list)  # to be called after the next whole run


class Rotations:
    """Which users there are, when each is due, and who asked for what.

    Args:
        engine: does the work.
        account_of: the doors of a user's account; None while there is no session for it.
        interval: how old a password gets.
        spread: the most by which a due rotation is put off, so that instances rarely meet.
        on_standing: told of every change of a standing.
        on_rotation: told of every run that did something or was asked for, when it has ended.
        on_schedule: told that the earliest due time may have changed.
        clock: seconds that only grow.
        chance: 0 to 1.
    """

    def __init__(
        self,
        engine: Engine,
        account_of: Callable[[User], Account | None],
        *,
        interval: timedelta,
        spread: timedelta,
        on_standing: Callable[[Standing], None],
        on_rotation: Callable[[Rotation], None],
        on_schedule: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._engine = engine
        self._account_of = account_of
        self._interval = interval
        self._looks = Looks(interval, spread, chance)
        self._on_standing = on_standing
        self._on_rotation = on_rotation
        self._on_schedule = on_schedule
        self._clock = clock
        self._inventory = Inventory()
        self._entries: dict[UserKey, _Entry] = {}
        self._queue = DueQueue()
        self._history: deque[Rotation] = deque(maxlen=_KEPT)
        self._running: dict[UserKey, Rotation] = {}
        self._asked: dict[str, Request] = {}
        self._stopping = False

    # What people see.

    @property
    def standings(self) -> list[Standing]:
        """Every known user, by service, account, region and id."""
        return [self._entries[key].standing for key in sorted(self._entries)]

    @property
    def history(self) -> list[Rotation]:
        """Runs that are under way, then those that ended, the latest first."""
        return [*self._running.values(), *reversed(self._history)]

    def standing(self, key: UserKey) -> Standing | None:
        """One user."""
        entry = self._entries.get(key)
        return entry.standing if entry is not None else None

    def next_look(self, key: UserKey) -> float | None:
        """In how many seconds a user is looked at; None: it is not waiting."""
        at = self._queue.when(key)
        return max(0.0, at - self._clock()) if at is not None else None

    # What changes.

    def take_inventory(self, inventory: Inventory, released: Iterable[UserKey] = ()) -> None:
        """Look after these users from now on: new ones at once, in a random order within the spread.

        Those are tried again, too, that could not be rotated until somebody changed something.
        """
        self._inventory = inventory
        released = set(released)
        for key in [key for key in self._entries if key not in inventory.users]:
            self._drop(key)
        for key, user in inventory.users.items():
            entry = self._entries.get(key)
            care = care_of(user, entry.standing if entry else None, released)
            if entry is None:
                self._entries[key] = entry = _Entry(Standing(user, care))
                fresh = True
            else:
                fresh = entry.standing.care is not care or entry.standing.user.databases != user.databases
                self._change(entry, replace(entry.standing, user=user, care=care))
            if care is not Care.MANAGED:
                self._give_up(entry, "the user is no longer managed")
            if not care.has_secret:
                self._queue.remove(key)
            elif (fresh or entry.stuck) and not entry.running:
                self._queue.hasten(key, self._clock() + self._looks.soon())
        self._on_schedule()

    def ask(
        self, names: Iterable[str], *, asked_by: str, retire: bool = False, force: bool = False
    ) -> list[Request]:
        """Ask for rotations now, of users by id, name, or the end of their key.

        Raises:
            UnknownUserError: nobody is called so, or the name fits several.
            UsageError: a user is not managed.
        """
        keys = [self._find(name) for name in names]
        for key in keys:
            standing = self._entries[key].standing
            if standing.care is Care.IAM:
                raise UsageError(f"user {key.id} authenticates by IAM: it has no password to rotate")
            if standing.care is not Care.MANAGED:
                raise UsageError(
                    f"user {key.id} is not managed: give it the tag that rotation.managed_tag names,"
                    " and wait for the next discovery"
                )
        return [self._ask(key, asked_by, Wish(retire=retire, force=force)) for key in dict.fromkeys(keys)]

    def ask_all(self, *, asked_by: str, retire: bool = False, force: bool = False) -> list[Request]:
        """Ask for a rotation of every managed user."""
        keys = [key for key, entry in self._entries.items() if entry.standing.care is Care.MANAGED]
        return [self._ask(key, asked_by, Wish(retire=retire, force=force)) for key in sorted(keys)]

    def asked(self, request_id: str) -> Request | None:
        """A rotation that was asked for; None: never, or long ago."""
        return self._asked.get(request_id)

    def look_now(self, key: UserKey, then: Callable[[], None]) -> None:
        """Look at a user as soon as possible, since a database refused what proxies log it in with.

        `then` is called once, when that is done.
        """
        entry = self._entries.get(key)
        if entry is None or not entry.standing.care.has_secret:
            then()
            return
        entry.then.append(then)
        if entry.running:
            entry.again = True
            self._engine.hurry(key)
        else:
            self._queue.put(key, self._clock())
            self._on_schedule()

    def next_at(self) -> float | None:
        """When the next user is due, in this object's clock; None: no user is waiting."""
        return self._queue.next_at()

    def start_due(self, group: asyncio.TaskGroup) -> None:
        """Start a run for every user whose time has come."""
        if self._stopping:
            return
        for key in self._queue.pop_due(self._clock()):
            entry = self._entries.get(key)
            if entry is not None and not entry.running:
                entry.running = True
                group.create_task(self._run(key, entry), name=f"rotate {key}")

    def stop(self) -> None:
        """Start no more runs, and let those that are under way end after their step."""
        self._stopping = True
        self._engine.stop()

    def saw(self, user: User, state: UserState, secret: Secret | None) -> None:
        """The engine read a user."""
        entry = self._entries.get(user.key)
        if entry is not None:
            seen = replace(entry.standing.user, status=state.status, enabled=state.enabled)
            room = entry.standing.headroom
            due = due_at(secret, room.interval if room else self._interval) if secret is not None else None
            self._change(entry, replace(entry.standing, user=seen, secret=secret, due=due))
            if secret is not None and secret.current is not None:
                for request in entry.requests:
                    # Measured against what stood when it was first looked at, even if the run fails after that.
                    if request.wish.instead_of is None:
                        request.wish = replace(request.wish, instead_of=secret.current.id)

    # How a run goes.

    async def _run(self, key: UserKey, entry: _Entry) -> None:
        standing = entry.standing
        then, entry.then = entry.then, []
        requests = [request for request in entry.requests if not request.done.done()]
        wish = together(requests)
        asked_by = ", ".join(dict.fromkeys(r.asked_by for r in requests)) or "schedule"
        rotation = Rotation(requests[0].id if requests else uuid.uuid4().hex, key, asked_by, time.time())
        self._running[key] = rotation
        outcome: Outcome | None = None
        error: AwsError | None = None
        try:
            outcome = await self._work(standing, wish)
        except AwsError as failure:
            error = failure
        except Exception as bug:  # noqa: BLE001  a defect met with one user must not stop the others
            _log.exception("rotation_broken", user=str(key))
            error = RetryableError(
                f"unexpected {type(bug).__name__}", operation="valkeeper:rotate", code="Bug"
            )
        finally:
            del self._running[key]
            entry.running = False
            for call in then:
                call()
        if self._entries.get(key) is not entry:  # it vanished meanwhile
            return
        rotation = finished(rotation, outcome, error)
        self._conclude(entry, rotation, outcome, error, requests)
        self._queue_again(entry, outcome, error)

    async def _work(self, standing: Standing, wish: Wish | None) -> Outcome:
        account = self._account_of(standing.user)
        if account is None:
            return Outcome(Result.WAITING, (), f"no AWS session for {standing.key.place} yet")
        if standing.care is not Care.MANAGED:
            return await self._engine.look(standing.user, account)
        databases = tuple(self._inventory.databases_of(standing.user))
        return await self._engine.run(standing.user, databases, account, wish)

    def _conclude(
        self,
        entry: _Entry,
        rotation: Rotation,
        outcome: Outcome | None,
        error: AwsError | None,
        requests: list[Request],
    ) -> None:
        standing = replace(
            entry.standing,
            outcome=outcome or entry.standing.outcome,
            headroom=(outcome.headroom if outcome else None) or entry.standing.headroom,
            error=str(error) if error is not None else None,
            failures=entry.standing.failures + 1 if error is not None else 0,
            rotated_at=rotation.finished_at
            if outcome and outcome.result in _ROTATED
            else entry.standing.rotated_at,
        )
        tell_of_stretching(entry.standing, standing, self._interval)
        worth_telling = bool(rotation.steps) or bool(requests) or standing.reason != entry.standing.reason
        self._change(entry, standing)
        if worth_telling:
            self._history.append(rotation)
            self._on_rotation(rotation)
            tell(rotation, standing)
        for request in requests:
            if self._is_settled(request, outcome, error) and not request.done.done():
                request.done.set_result(rotation)
            elif outcome is not None and outcome.wish is not None:
                # What was asked for stays measured against what stood when it was first looked at.
                request.wish = replace(
                    request.wish, instead_of=request.wish.instead_of or outcome.wish.instead_of
                )
        for request in entry.requests:
            # Asked for while this run was under way: it joins what the run did.
            joined = outcome is not None and outcome.result in _ROTATED and not request.wish.retire
            if request not in requests and joined and not request.done.done():
                request.done.set_result(rotation)
        entry.requests = [request for request in entry.requests if not request.done.done()]

    @staticmethod
    def _is_settled(request: Request, outcome: Outcome | None, error: AwsError | None) -> bool:
        if error is not None:
            return isinstance(error, PermanentError)
        if outcome is None or outcome.result is Result.LEFT:
            return True
        if outcome.result is Result.WAITING or outcome.secret is None:
            return False
        baseline = request.wish.instead_of or (outcome.wish.instead_of if outcome.wish else None)
        return replace(request.wish, instead_of=baseline).granted(outcome.secret)

    def _queue_again(self, entry: _Entry, outcome: Outcome | None, error: AwsError | None) -> None:
        key, now = entry.standing.key, self._clock()
        if not entry.standing.care.has_secret:  # it lost its tag while it was being adopted
            for call in entry.then:
                call()
            entry.then = []
            return
        waiting = outcome is not None and outcome.result is Result.WAITING
        entry.waits = entry.waits + 1 if waiting else 0
        entry.stuck = is_stuck(outcome, error)
        if entry.again or (entry.requests and not waiting and error is None):
            entry.again = False
            delay = 0.0
        else:
            times = entry.waits if waiting else entry.standing.failures
            until_due = self._until_due(entry.standing)
            delay = self._looks.after(outcome, error, times=times, until_due=until_due)
        self._queue.put(key, now + delay)
        self._on_schedule()

    def _until_due(self, standing: Standing) -> float | None:
        """Seconds until the next rotation by the schedule; None: there is none."""
        account = self._account_of(standing.user)
        if standing.due is None or standing.care is not Care.MANAGED or account is None:
            return None
        return (standing.due - account.now()).total_seconds()

    def _ask(self, key: UserKey, asked_by: str, wish: Wish) -> Request:
        entry = self._entries[key]
        request = Request(uuid.uuid4().hex, key, asked_by, wish)
        entry.requests.append(request)
        self._asked[request.id] = request
        if len(self._asked) > _ASKED_KEPT:
            del self._asked[next(iter(self._asked))]
        _log.info("rotation_asked", user=str(key), asked_by=asked_by, retire=wish.retire, force=wish.force)
        if not entry.running:
            self._queue.put(key, self._clock())
            self._on_schedule()
        return request

    def _find(self, name: str) -> UserKey:
        exact = [key for key in self._entries if name in {str(key), key.id}]
        named = [key for key, entry in self._entries.items() if entry.standing.user.name == name]
        found = exact or named or [key for key in self._entries if str(key).endswith(f"/{name}")]
        if not found:
            raise UnknownUserError(f"no known database has a user {name!r}; `valkeeper users` lists them")
        if len(found) > 1:
            keys = ", ".join(str(key) for key in sorted(found))
            raise UnknownUserError(f"{name!r} fits several users; say which: {keys}")
        return found[0]

    def _drop(self, key: UserKey) -> None:
        entry = self._entries.pop(key)
        self._queue.remove(key)
        self._engine.forget(key)
        self._give_up(entry, "the user is gone")
        for call in entry.then:
            call()

    @staticmethod
    def _give_up(entry: _Entry, reason: str) -> None:
        """End what was asked for and cannot be had any longer."""
        now = time.time()
        for request in entry.requests:
            if not request.done.done():
                end = Rotation(request.id, request.user, request.asked_by, now, now, Result.LEFT, reason)
                request.done.set_result(end)
        entry.requests = []

    def _change(self, entry: _Entry, standing: Standing) -> None:
        entry.standing = standing
        self._on_standing(standing)
