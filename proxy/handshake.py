"""What a new client wants: which database, as which user, and whether it logs in. No I/O.

A listener for one database lets the client through with its first command: an AUTH or HELLO AUTH names the user,
anything else means the listener's user, and what the command deserves is said by the database itself. A listener for
all databases answers as a Redis that asks for AUTH until the client names one, as `user@database`; unless the client
asked for it by a database's name (SNI), and then a login need name none.
"""

import re
from dataclasses import dataclass, field
from typing import Self

from proxy.errors import NoCredentialError, ProtocolError, error_reply
from proxy.resp import Command, CommandReader, encode, integer

__all__ = [
    "DEFAULT_USER",
    "HANDSHAKE_BYTES",
    "HANDSHAKE_SECONDS",
    "Begin",
    "Close",
    "Handshake",
    "Login",
    "Reply",
    "read_login",
    "users_named",
]

DEFAULT_USER = "default"
"""Whom a database takes a client for that has not logged in, if it takes it at all."""

HANDSHAKE_BYTES = 64 * 1024
"""Most bytes a client may have sent before it is let in."""

HANDSHAKE_SECONDS = 10.0
"""Longest a client may take to say who it is."""

# What Redis takes before authentication.
_MAX_ARGS = 10
_MAX_BULK = 16384

_CROSS_PROTOCOL = (b"POST", b"HOST:")
_READ_WHOLE = (b"", b"AUTH", b"HELLO", *_CROSS_PROTOCOL)
_AUTH_WITH_USER = 3
_PROTOCOLS = (b"2", b"3")
_BARE_HELLO = len(("HELLO", "3", "AUTH", "user", "password"))
_CLIENT_NAME = re.compile(rb"[!-~]*\Z")  # `validateClientName` in networking.c
_HELLO_OPTIONS = {b"AUTH": 2, b"SETNAME": 1}  # and how many arguments each takes


@dataclass(frozen=True, slots=True)
class Login:
    """An AUTH or HELLO that names a user."""

    user: str
    args: tuple[bytes, ...] = field(repr=False)  # as sent, so with the client's password
    user_at: int  # which argument is the user's name; the password follows it

    @classmethod
    def hello(cls, user: str) -> Self:
        """HELLO 3 AUTH for this user, whose password is still to be put in."""
        name = user.encode("utf-8", "surrogateescape")
        return cls(user, (b"HELLO", b"3", b"AUTH", name, b""), 3)

    @property
    def protocol(self) -> int | None:
        """Which RESP it leads to where it does nothing else than log in: 2 or 3; None: it sets more than that."""
        if not self.is_hello:
            return 2
        return 3 if len(self.args) == _BARE_HELLO and self.args[1] == b"3" else None

    @property
    def is_hello(self) -> bool:
        """True for HELLO, whose answer only the database knows."""
        return len(self.args) > 0 and self.args[0].upper() == b"HELLO"

    def command(self, user: str, password: str | None = None) -> bytes:
        """The same command for this user, with this password in place of the client's if one is given."""
        args = list(self.args)
        args[self.user_at] = user.encode("utf-8", "surrogateescape")
        if password is not None:
            args[self.user_at + 1] = password.encode()
        return encode(args)


def read_login(args: tuple[bytes, ...]) -> Login | None:
    """The login that a command is; None for every other, malformed AUTH and HELLO included.

    `AUTH <password>` names nobody. Redis reads a HELLO from left to right, and what it has read as a password it keeps
    out of MONITOR and SLOWLOG. So one that it refuses before it comes to the user is no login, and one that it refuses
    only afterwards is: Redis 7.0 has logged in by then (`helloCommand` in networking.c). One that names two is none.
    """
    name = args[0].upper() if args else b""
    if name == b"AUTH" and len(args) == _AUTH_WITH_USER:
        return Login(_text(args[1]), args, 1)
    if name != b"HELLO" or len(args) < 2 or args[1] not in _PROTOCOLS:  # noqa: PLR2004
        return None
    user_at = None
    at = 2
    while at < len(args):
        option = args[at].upper()
        taken = _HELLO_OPTIONS.get(option)
        if taken is None or at + taken >= len(args):
            break
        if option == b"AUTH" and user_at is not None:
            return None
        if option == b"AUTH":
            user_at = at + 1
        elif user_at is None and not _CLIENT_NAME.match(args[at + 1]):
            return None
        at += 1 + taken
    return None if user_at is None else Login(_text(args[user_at]), args, user_at)


def users_named(args: tuple[bytes, ...]) -> tuple[str, ...]:
    """Every user that a command might make of a client, even if it fails in the end.

    Redis 7.0 heeds each AUTH of a HELLO in turn, before it has looked at what stands behind it (`helloCommand`).
    """
    name = args[0].upper() if args else b""
    if name == b"RESET" or (name == b"AUTH" and len(args) < _AUTH_WITH_USER):
        return (DEFAULT_USER,)
    if name == b"AUTH":
        return (_text(args[1]),)
    found, at = [], 2
    while name == b"HELLO" and at < len(args):
        option = args[at].upper()
        taken = _HELLO_OPTIONS.get(option)
        if taken is None or at + taken >= len(args):
            break
        if option == b"AUTH":
            found.append(_text(args[at + 1]))
        at += 1 + taken
    return tuple(found)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer this, and go on."""

    data: bytes


_SKIPPED = Reply(b"")  # an empty command, which Redis does not answer


@dataclass(frozen=True, slots=True)
class Close:
    """Answer this, if anything, and end the connection."""

    data: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Begin:
    """The client has said what it wants.

    Where `login` is a user that Valkeeper logs in itself, `rest` is what the client sent after it; otherwise `raw` is
    everything that goes to the database.
    """

    database: str
    user: str
    login: Login | None
    raw: bytes = field(repr=False)
    rest: bytes = field(repr=False)


class Handshake:
    """Takes a new client's bytes and says what to do.

    Args:
        database: the database for a client that names none; None: it has to name one.
        db_user: the user of a client that names none.
        is_for_all: True: a login may name another database.
    """

    def __init__(self, database: str | None, db_user: str | None, *, is_for_all: bool = False) -> None:
        self._database = database
        self._db_user = db_user or DEFAULT_USER
        self._is_for_all = is_for_all
        self._reader = CommandReader(max_args=_MAX_ARGS, max_bulk=_MAX_BULK)
        self._received = 0

    def receive(self, data: bytes) -> None:
        """Take more bytes."""
        self._received += len(data)
        self._reader.append(data)

    def next(self) -> Reply | Close | Begin | None:
        """What to do next; None: wait for more bytes. After `Close` or `Begin` there is nothing more to ask."""
        while True:
            step = self._single() if self._database is not None else self._any()
            if isinstance(step, Begin):
                return step
            # What was answered or skipped counts as well: answers that a client does not read are held for it.
            if self._received - (0 if step is None else self._reader.held) > HANDSHAKE_BYTES:
                return Close(
                    error_reply("ERR", "valkeeper: more than 64 KiB before AUTH"), "handshake_too_big"
                )
            if step is not _SKIPPED:
                return step

    def _single(self) -> Reply | Close | Begin | None:
        try:
            command = self._reader.next()
            name = self._reader.peek_name() if command is None else command.name
        except ProtocolError:
            return self._begin(None, self._reader.rest)  # the database has the words for it
        if command is None:
            # Of most commands, the name alone says that they are no login.
            return None if name is None or name in _READ_WHOLE else self._begin(None, self._reader.rest)
        if not command.args:
            return _SKIPPED
        if name in _CROSS_PROTOCOL:
            return Close(b"", "cross_protocol")
        return self._begin(read_login(command.args), self._reader.latest)

    def _begin(self, login: Login | None, raw: bytes) -> Begin:
        assert self._database is not None  # noqa: S101 -- for the type checker
        user, database = login.user if login else self._db_user, self._database
        if login and self._is_for_all:
            name, at, named = user.rpartition("@")
            if at and named:
                user, database = name or self._db_user, named
        return Begin(database, user, login, raw, self._reader.rest)

    def _any(self) -> Reply | Close | Begin | None:
        try:
            command = self._reader.next()
        except ProtocolError as error:
            return Close(error.reply, "protocol_error")
        if command is None:
            return None
        return self._unauthenticated(command) if command.args else _SKIPPED

    def _unauthenticated(self, command: Command) -> Reply | Close | Begin:
        """What Redis says to a client that has not logged in, or the login that names a database."""
        if command.name in _CROSS_PROTOCOL:
            return Close(b"", "cross_protocol")
        login = read_login(command.args)
        if login is not None:
            user, at, database = login.user.rpartition("@")
            if not at or not database:
                return Reply(_WHICH_DATABASE)
            return Begin(database, user or self._db_user, login, self._reader.latest, self._reader.rest)
        if command.name == b"QUIT":
            return Close(b"+OK\r\n", "quit")
        return Reply(_unauthenticated_reply(command))


_WHICH_DATABASE = NoCredentialError(
    "this address serves every database; name one by logging in as user@database", reason="no_database"
).reply
_HELLO_FIRST = error_reply(
    "NOAUTH",
    "HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> "
    "option can be used to authenticate the client and select the RESP protocol version at the same time",
)


def _unauthenticated_reply(command: Command) -> bytes:
    """The texts of Redis 7 (`helloCommand`, `authCommand`, `processCommand`)."""
    if command.name == b"RESET" and len(command.args) == 1:
        return b"+RESET\r\n"
    if command.name == b"RESET":
        return error_reply("ERR", "wrong number of arguments for 'reset' command")
    if command.name == b"HELLO":
        return _hello_reply(command.args)
    if command.name == b"AUTH" and len(command.args) == 1:
        return error_reply("ERR", "wrong number of arguments for 'auth' command")
    if command.name == b"AUTH" and len(command.args) > _AUTH_WITH_USER:
        return error_reply("ERR", "syntax error")
    return _WHICH_DATABASE


def _hello_reply(args: tuple[bytes, ...]) -> bytes:
    if len(args) > 1 and integer(args[1]) is None:
        return error_reply("ERR", "Protocol version is not an integer or out of range")
    if len(args) > 1 and args[1] not in _PROTOCOLS:
        return error_reply("NOPROTO", "unsupported protocol version")
    at = 2
    while at < len(args):
        taken = _HELLO_OPTIONS.get(args[at].upper())
        if taken is None or at + taken >= len(args):
            return error_reply("ERR", f"Syntax error in HELLO option '{_text(args[at])}'")
        at += 1 + taken
    return _HELLO_FIRST
