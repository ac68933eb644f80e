"""Credentials of static databases' users that others keep, in files and existing secrets, handed on as they are.

Whatever goes wrong with one, the last good credential of its user is kept, and no other user waits for it.
"""

import asyncio
import hashlib
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import structlog
from pydantic import SecretStr

from discovery.aws import Session
from discovery.errors import DiscoveryError
from discovery.model import HandedOnUser, Inventory, Role
from proxy.directory import Credential
from rotator.catalogue import handed_on_key
from rotator.existing_secrets import ExistingSecretError, read_login, unusable
from rotator.password_files import Fingerprint, PasswordFileError, fingerprint, read_password

__all__ = ["HandedOnPasswords", "HandedOnStanding"]

_log = structlog.get_logger(__name__)

_RETRY_FIRST, _RETRY_MOST = 1.0, 60.0  # seconds; full jitter below them


@dataclass(frozen=True, slots=True)
class HandedOnStanding:
    """How one handed-on user stands, for people."""

    key: str  # of its credential
    name: str
    database: str
    source: Literal["password_file", "secret"]
    where: str  # the file's path, or the secret's name or ARN
    read_at: float | None  # seconds since the epoch of the last good reading; None: never
    error: str | None  # why the last reading failed; None: it did not

    @property
    def state(self) -> str:
        """One word for a table."""
        if self.error is not None:
            return "failing"
        return "new" if self.read_at is None else "fresh"


@dataclass(slots=True)
class _Entry:
    """One user, and what is known of it."""

    key: str
    database: str
    user: HandedOnUser
    credential: Credential | None = None
    read_at: float | None = None
    error: str | None = None
    seen: Fingerprint | None = None  # the file when it was last read
    task: "asyncio.Task[None] | None" = None  # attends to the secret
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    reading: bool = False
    failures: int = 0
    then: list[Callable[[], None]] = field(default_factory=list)  # to be called after the next whole reading


class HandedOnPasswords:
    """All handed-on users of an inventory, and their credentials.

    Args:
        open_session: the AWS session for a region and role (`Sessions.open`).
        on_credentials: told of what was read.
        clock: seconds since the epoch.
        chance: 0 to 1.
    """

    def __init__(
        self,
        open_session: Callable[[str, Role | None], Awaitable[Session]],
        *,
        on_credentials: Callable[[Iterable[Credential]], None],
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._open_session = open_session
        self._on_credentials = on_credentials
        self._clock = clock
        self._chance = chance
        self._entries: dict[str, _Entry] = {}
        self._salt = os.urandom(16)  # so that a version says nothing of the password
        self._group: asyncio.TaskGroup | None = None

    # What is known.

    @property
    def standings(self) -> tuple[HandedOnStanding, ...]:
        """Every handed-on user, by database and name."""
        return tuple(_standing(self._entries[key]) for key in sorted(self._entries))

    @property
    def has_files(self) -> bool:
        """Whether there are files to be watched (`check_files`)."""
        return any(entry.user.password_file is not None for entry in self._entries.values())

    # What changes.

    def take_inventory(self, inventory: Inventory) -> None:
        """Look after these users from now on. Files are read at once, secrets that are new as soon as `run` can."""
        wanted = {
            handed_on_key(database.name, user.name): (database.name, user)
            for database in inventory.databases.values()
            for user in database.handed_on
        }
        before, self._entries = self._entries, {}
        for key, (database, user) in wanted.items():
            known = before.get(key)
            if known is not None and known.user == user:
                self._entries[key] = before.pop(key)
            else:
                kept = known.credential if known is not None else None
                self._entries[key] = _Entry(key, database, user, kept)
        for gone in before.values():
            _dismiss(gone)
        for entry in self._entries.values():
            self._read_file(entry)
            self._start(entry)
        self._tell(self._entries.values())

    def check_files(self) -> None:
        """Read the files that look different from when they were last read. Cheap: one `stat` for each."""
        changed = [
            entry
            for entry in self._entries.values()
            if entry.user.password_file is not None
            and fingerprint(Path(entry.user.password_file)) != entry.seen
        ]
        self._tell(entry for entry in changed if self._read_file(entry))

    def read_secrets(self) -> None:
        """Read every secret again, each by itself and soon; those that are being read are left at that."""
        for entry in self._entries.values():
            if not entry.reading:
                entry.wake.set()

    def look_now(self, key: str, then: Callable[[], None]) -> bool:
        """Read a user's credential again since a database refused it; `then` is called once, when that is done.

        Returns:
            False: there is no such user, and nothing was done.
        """
        entry = self._entries.get(key)
        if entry is None:
            return False
        if entry.user.secret is None:
            self._tell([entry] if self._read_file(entry) else [])
            then()
        else:
            entry.then.append(then)
            entry.wake.set()  # also while it is being read: that reading may have begun before the change
        return True

    async def run(self) -> None:
        """Read secrets until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._group:
                for entry in self._entries.values():
                    self._start(entry)
                await asyncio.Event().wait()
        finally:
            self._group = None

    # Files.

    def _read_file(self, entry: _Entry) -> bool:
        """Read a user's file, if it has one. Whether that gave another credential."""
        if entry.user.password_file is None:
            return False
        path = Path(entry.user.password_file)
        entry.seen = fingerprint(path)  # before reading: what changes meanwhile looks different afterwards
        try:
            password = read_password(path)
        except PasswordFileError as error:
            self._failed(entry, str(error))
            return False
        version = hashlib.blake2b(
            password.get_secret_value().encode(), key=self._salt, digest_size=12
        ).hexdigest()
        return self._succeeded(entry, version, password)

    # Secrets.

    def _start(self, entry: _Entry) -> None:
        if entry.user.secret is not None and entry.task is None and self._group is not None:
            entry.task = self._group.create_task(self._attend(entry), name=f"read {entry.key}")

    async def _attend(self, entry: _Entry) -> None:
        """Read a user's secret at first, and whenever it is woken."""
        while True:
            entry.wake.clear()
            pause = await self._read_secret(entry)
            try:
                async with asyncio.timeout(pause):
                    await entry.wake.wait()
            except TimeoutError:
                continue

    async def _read_secret(self, entry: _Entry) -> float | None:
        """Seconds until it is to be read again; None: not before it is woken."""
        reference = entry.user.secret
        if reference is None:
            raise AssertionError("only secrets are attended to")
        then, entry.then = entry.then, []
        entry.reading = True
        try:
            try:
                session = await self._open_session(reference.region, reference.role)
            except DiscoveryError as error:
                raise unusable(reference, entry.user.name, error) from None
            login = await read_login(session, reference, entry.user.name)
        except ExistingSecretError as error:
            self._failed(entry, str(error))
            entry.failures += 1
            if not error.passes:
                return None
            return self._chance() * min(_RETRY_FIRST * 2.0 ** min(entry.failures, 10), _RETRY_MOST)
        else:
            entry.failures = 0
            if self._succeeded(entry, login.version, login.password):
                self._tell([entry])
            return None
        finally:
            entry.reading = False
            for call in then:
                call()

    # Both.

    def _succeeded(self, entry: _Entry, version: str, password: SecretStr) -> bool:
        """Take what was read. The password before it is kept beside it, since its owner may change it later than this."""
        if entry.error is not None:
            _log.info(f"{_source(entry)}_recovered", user=entry.key)
        entry.error, entry.read_at = None, self._clock()
        known = entry.credential
        if known is not None and known.version == version:
            return False
        previous = known.current if known is not None else None
        if known is not None and previous == password:  # another version with the same password
            previous = known.previous
        entry.credential = Credential(
            key=entry.key,
            kind="handed-on",
            username=entry.user.name,
            version=version,
            current=password,
            previous=previous,
        )
        _log.info(f"{_source(entry)}_read", user=entry.key)
        return True

    def _failed(self, entry: _Entry, error: str) -> None:
        if entry.error != error:
            _log.warning(
                f"{_source(entry)}_unusable",
                user=entry.key,
                error=error,
                last_good_kept=entry.credential is not None,
            )
        entry.error = error

    def _tell(self, entries: Iterable[_Entry]) -> None:
        credentials = [entry.credential for entry in entries if entry.credential is not None]
        if credentials:
            self._on_credentials(credentials)


def _dismiss(entry: _Entry) -> None:
    """A user that is gone, or read from elsewhere now."""
    if entry.task is not None:
        entry.task.cancel()
    then, entry.then = entry.then, []
    for call in then:
        call()


def _source(entry: _Entry) -> Literal["password_file", "secret"]:
    return "secret" if entry.user.secret is not None else "password_file"


def _standing(entry: _Entry) -> HandedOnStanding:
    secret = entry.user.secret
    return HandedOnStanding(
        key=entry.key,
        name=entry.user.name,
        database=entry.database,
        source=_source(entry),
        where=secret.id if secret is not None else entry.user.password_file or "",
        read_at=entry.read_at,
        error=entry.error,
    )
