"""Turns the plan into deeds: observe, plan, perform one step, and again until there is nothing to do now.

Everything that matters is in AWS. What is kept here (backoff, recent heals) only paces an instance, and may be lost.
"""

import asyncio
import random
import secrets
import string
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

import structlog
from pydantic import SecretStr

from discovery.errors import AwsError, ConflictError
from discovery.model import Database, User, UserKey, UserState, UserStatus
from rotator.attributes import Amendment
from rotator.headroom import Headroom, headroom
from rotator.machine import plan
from rotator.observation import Observation, Secret, Version, is_live
from rotator.pacing import Pacing
from rotator.steps import (
    Amend,
    Apply,
    Ask,
    Count,
    Heal,
    Idle,
    Leave,
    Promote,
    Retire,
    Seed,
    Settle,
    Stage,
    Step,
    Wait,
)
from rotator.verify import Verifier

__all__ = ["Account", "Engine", "Listener", "Outcome", "Result", "Wish", "new_password"]

_log = structlog.get_logger(__name__)

_PASSWORD_LENGTH = 64
_ALPHABET = string.ascii_letters + string.digits  # safe in every client, URL and ACL file

# Seconds between looks at a user that is modifying. At most: a client whose proxy was refused waits for one of them.
_SETTLE_FIRST, _SETTLE_GROWTH, _SETTLE_MOST = 0.2, 1.5, 2.0
_RIVAL_FIRST = 1.0  # to 2 seconds for which a rotation is left to a rival seen at work on it
_SETTLE_FOR = 120.0  # seconds after which a run gives up waiting; the next one goes on
_ACKNOWLEDGE_WITHIN = 2.0  # seconds
_TURNS = 40  # a rotation with a heal takes about ten; more means that rivals keep moving the labels


def new_password() -> SecretStr:
    """64 letters and digits from the system's own source of randomness."""
    return SecretStr("".join(secrets.choice(_ALPHABET) for _ in range(_PASSWORD_LENGTH)))


class VaultPort(Protocol):
    """What the engine needs of `rotator.secrets.Vault`."""

    async def read(self, key: UserKey) -> Secret | None:
        """The labels and their versions."""

    async def made(self, secret: Secret) -> tuple[datetime, ...]:
        """When each version was made that Secrets Manager still has."""

    async def unchanged(self, key: UserKey, secret: Secret) -> bool:
        """Whether the labels are where they were seen."""

    async def seed(self, user: User, *, create: bool) -> None:
        """Create the secret with a first version that has no password."""

    async def stage(
        self, user: User, secret: Secret, password: SecretStr, *, token: str, succeeds: str, retire: bool
    ) -> None:
        """Put a version as AWSPENDING."""

    async def promote(self, secret: Secret, version: Version, current: Version) -> None:
        """Compare AWSCURRENT, and move it."""

    def amendment(self, user: User, secret: Secret) -> Amendment | None:
        """What of the secret's attributes is not as configured."""

    async def amend(self, secret: Secret, changes: Amendment) -> None:
        """Set these attributes."""


class UserReads(Protocol):
    """What the engine needs of `rotator.users.SharedReads`."""

    async def read(self, user_id: str) -> UserState | None:
        """The user as it is now."""


class UserWrites(Protocol):
    """What the engine needs of a `rotator.users.UserApi`."""

    async def set_passwords(self, user_id: str, passwords: tuple[SecretStr, ...]) -> None:
        """Replace the list of passwords."""


@dataclass(frozen=True, slots=True)
class Account:
    """The doors to one service in one account and region."""

    vault: VaultPort
    reads: UserReads
    writes: UserWrites
    now: Callable[[], datetime]  # AWS's clock


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asked for beyond the schedule. It is granted when AWSCURRENT is another than `instead_of`."""

    instead_of: str | None = None  # version id of AWSCURRENT when the wish was first looked at; None: not yet
    retire: bool = False
    force: bool = False

    def granted(self, secret: Secret) -> bool:
        """Whether what was asked for has happened, whoever did it. Dropping the old password may still follow."""
        current = secret.current
        if current is None or current.password is None or self.instead_of in {None, current.id}:
            return False
        return current.retire or not self.retire


class Result(StrEnum):
    """How a run ended; the words stand in logs, metrics and the API."""

    ROTATED = "rotated"
    ADOPTED = "adopted"  # the first password of Valkeeper's
    FOLLOWED = "followed"  # another instance rotated meanwhile
    HEALED = "healed"
    RETIRED = "retired"
    AMENDED = "amended"  # the secret's KMS key, description or tags were set, and nothing else
    IDLE = "idle"  # nothing to do
    WAITING = "waiting"  # the plan says: not yet
    LEFT = "left"  # the plan says: a person has to act


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of turns did, and when the user is to be looked at again."""

    result: Result
    steps: tuple[str, ...]
    reason: str = ""
    secret: Secret | None = None
    due: datetime | None = None  # of the next rotation, or of the next try; by AWS's clock
    wish: Wish | None = None  # the wish it was given, with `instead_of` filled in
    headroom: Headroom | None = None  # where the run counted the secret's versions
    row: str = ""  # of the plan, at which it ended


class Listener(Protocol):
    """Is told what happens while it happens."""

    def observed(self, user: User, state: UserState, secret: Secret | None) -> None:
        """A user and its secret were read."""

    def stepped(self, user: User, row: str, seen: Observation) -> None:
        """A step that changed something was performed, after this was seen."""


class Engine:
    """Takes one user at a time as far as it goes. No user may be in two runs at once."""

    def __init__(
        self,
        *,
        interval: timedelta,
        verifier: Verifier,
        listener: Listener,
        acknowledged: Callable[[UserKey, str, float], Awaitable[bool]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`acknowledged` says whether all proxies log in with a version, waiting for so many seconds at most."""
        self._interval = interval
        self._verifier = verifier
        self._listener = listener
        self._acknowledged = acknowledged
        self._sleep = sleep
        self._stopping = False
        self._hurried: set[UserKey] = set()
        self._chance = chance
        self._pacing = Pacing(interval, chance)

    async def run(
        self, user: User, databases: Sequence[Database], account: Account, wish: Wish | None = None
    ) -> Outcome:
        """Observe and step until the plan has nothing to do now.

        Raises:
            AwsError: a call failed; whether it had an effect, the next run will see.
        """
        steps: list[str] = []
        first: Version | None = None
        room: Headroom | None = None
        for _ in range(_TURNS):
            if self._stopping:
                return Outcome(
                    Result.WAITING,
                    tuple(steps),
                    "the service stops; whoever is next goes on from here",
                    wish=wish,
                )
            seen = await self._observe(user, databases, account, wish)
            if seen is None:
                return Outcome(Result.LEFT, tuple(steps), "the user no longer exists")
            if first is None and seen.secret is not None:
                first = seen.secret.current
            if wish is not None and wish.instead_of is None and first is not None:
                wish = replace(wish, instead_of=first.id)
            row, step, seen = await self._plan(user, databases, account, seen)
            room = seen.headroom or room
            if isinstance(step, Idle | Wait | Leave):
                return replace(_outcome(step, steps, first, seen), row=row, wish=wish, headroom=room)
            try:
                performed = await self._perform(user, account, seen, step)
            except ConflictError:
                await self._sleep(_RIVAL_FIRST * (1 + self._chance()))  # who was there first may go on
                continue
            if performed:
                steps.append(row)
                self._listener.stepped(user, row, replace(seen, headroom=room))
        return Outcome(Result.WAITING, tuple(steps), "the secret's labels keep changing", wish=wish)

    async def look(self, user: User, account: Account) -> Outcome:
        """Read a user and its secret without changing anything: for users that are offered but not rotated."""
        state = await account.reads.read(user.key.id)
        if state is None:
            return Outcome(Result.LEFT, (), "the user no longer exists")
        secret = await account.vault.read(user.key)
        self._listener.observed(user, state, secret)
        return Outcome(Result.IDLE, (), secret=secret)

    def stop(self) -> None:
        """Let runs end after the step that each is in: AWS holds how far they have come."""
        self._stopping = True

    def hurry(self, key: UserKey) -> None:
        """Have the user's run read its labels again while it waits for the user to settle: a database refused proxies."""
        self._hurried.add(key)

    def forget(self, key: UserKey) -> None:
        """Drop what is remembered of a user that is no longer managed."""
        self._hurried.discard(key)
        self._pacing.forget(key)

    async def _observe(
        self, user: User, databases: Sequence[Database], account: Account, wish: Wish | None
    ) -> Observation | None:
        state = await account.reads.read(user.key.id)
        if state is None:
            return None
        # While the user is being modified, too: proxies have to hear of a rival's rotation before it drops their password.
        secret = await account.vault.read(user.key)
        self._listener.observed(user, state, secret)
        now = account.now()
        memory = self._pacing.recall(user.key, now)
        wanted = wish is not None and secret is not None and not wish.granted(secret)
        pending = secret.pending if secret is not None and is_live(secret) else None
        unlike = account.vault.amendment(user, secret) if secret is not None else None
        return Observation(
            now=now,
            interval=self._interval,
            status=state.status,
            secret=secret,
            enabled=state.enabled,
            authentication=state.authentication,
            password_count=state.password_count,
            endpoints=sum(len(database.endpoints) for database in databases),
            wanted=wanted,
            wanted_retire=wanted and wish is not None and wish.retire,
            force=wish is not None and wish.force,
            acknowledged=await self._served(user.key, secret),
            apply_not_before=memory.not_before if pending and memory.applied == pending.id else None,
            heals=len(memory.heals),
            amendment=memory.to_amend(unlike, now),
        )

    async def _served(self, key: UserKey, secret: Secret | None) -> bool:
        """Whether proxies log in with AWSCURRENT; asked only where the answer can matter."""
        current = secret.current if secret is not None else None
        if secret is None or current is None or current.password is None:
            return True
        if not is_live(secret) and not current.retire:
            return True
        return await self._acknowledged(key, current.id, _ACKNOWLEDGE_WITHIN)

    async def _plan(
        self, user: User, databases: Sequence[Database], account: Account, seen: Observation
    ) -> tuple[str, Step, Observation]:
        """The next step that is not a question."""
        while True:
            row, step = plan(seen)
            if isinstance(step, Count) and seen.secret is not None and seen.secret.current is not None:
                made = await account.vault.made(seen.secret)
                room = headroom(made, seen.secret.current.created, self._interval, seen.now)
                seen = replace(seen, headroom=room)
                continue
            if not isinstance(step, Ask) or step.version.password is None:
                return row.name, step, seen
            logins = await self._verifier.logins(databases, user.name, step.version.password)
            seen = replace(seen, logins={**seen.logins, step.version.id: logins})

    async def _perform(self, user: User, account: Account, seen: Observation, step: Step) -> bool:
        """Do one step. False: what was seen no longer holds, and nothing was done."""
        match step:
            case Settle():
                live = seen.secret is not None and is_live(seen.secret)
                await self._settle(user, account, rivals=live and seen.apply_not_before is None)
            case Seed(create=create):
                await account.vault.seed(user, create=create)
            case Stage(token=token, succeeds=succeeds, retire=retire) if seen.secret is not None:
                await account.vault.stage(
                    user, seen.secret, new_password(), token=token, succeeds=succeeds, retire=retire
                )
            case Promote(version=version, current=current) if seen.secret is not None:
                await account.vault.promote(seen.secret, version, current)
            case Amend(amendment=amendment) if seen.secret is not None:
                return await self._amend(user, account, seen, seen.secret, amendment)
            case Apply(versions=versions) | Heal(versions=versions) | Retire(versions=versions) if (
                seen.secret is not None
            ):
                if not await account.vault.unchanged(user.key, seen.secret):
                    return False
                self._pacing.remember(user.key, step, seen.now)
                await account.writes.set_passwords(
                    user.key.id, tuple(v.password for v in versions if v.password is not None)
                )
            case _:
                raise AssertionError(f"the plan gave a step that cannot be performed: {step}")
        return True

    async def _settle(self, user: User, account: Account, *, rivals: bool) -> None:
        pause, waited = _SETTLE_FIRST, 0.0
        while waited < _SETTLE_FOR and not self._stopping:
            # Not in step with rivals that wait for the same user, and would all promote at once.
            await self._sleep(pause * (0.75 + self._chance() / 2))
            if user.key in self._hurried:
                self._hurried.discard(user.key)
                return
            waited += pause
            pause = min(pause * _SETTLE_GROWTH, _SETTLE_MOST)
            state = await account.reads.read(user.key.id)
            if state is None or state.status is not UserStatus.MODIFYING:
                if rivals:  # who applied the new password also promotes it
                    await self._sleep(_RIVAL_FIRST * (1 + self._chance()))
                return

    async def _amend(
        self, user: User, account: Account, seen: Observation, secret: Secret, amendment: Amendment
    ) -> bool:
        """Set a secret's attributes. A password is worth more than they are, so a failure stops no rotation."""
        try:
            await account.vault.amend(secret, amendment)
        except AwsError as error:
            _log.warning("secret_not_amended", user=str(user.key), error=str(error))
            self._pacing.remember_amendment(user.key, amendment, seen.now, failed=True)
            return False
        self._pacing.remember_amendment(user.key, amendment, seen.now, failed=False)
        return True


def _outcome(
    step: Idle | Wait | Leave, steps: list[str], first: Version | None, seen: Observation
) -> Outcome:
    current = seen.secret.current if seen.secret is not None else None
    changed = (
        current is not None and current.password is not None and (first is None or current.id != first.id)
    )
    match step:
        case Leave(reason=reason):
            return Outcome(Result.LEFT, tuple(steps), reason, seen.secret)
        case Wait(reason=reason, until=until):
            return Outcome(Result.WAITING, tuple(steps), reason, seen.secret, until)
    if "promote" in steps:
        result = Result.ADOPTED if first is None or first.password is None else Result.ROTATED
    elif changed:
        result = Result.FOLLOWED
    elif "heal" in steps:
        result = Result.HEALED
    elif "retire" in steps:
        result = Result.RETIRED
    elif "amend" in steps:
        result = Result.AMENDED
    else:
        result = Result.IDLE
    return Outcome(result, tuple(steps), "", seen.secret, step.due)
