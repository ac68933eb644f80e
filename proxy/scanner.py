"""Follows a client's commands through a stream without holding it, and stops where one might log in, and at the last.

Everything passes at once, whatever its size; payloads are skipped by their length and never copied. Only the head
of a command whose name has not arrived yet, and an incomplete AUTH, HELLO, QUIT, RESET, CLIENT or SCRIPT, are held back.

What Redis surely refuses, and hangs up behind, passes for Redis to refuse. What it may read otherwise ends the session.
"""

import re

from proxy import short_frames
from proxy.errors import EndlessLineError, LimitError, ProtocolError, UnfollowedError
from proxy.mode import LOOKED_AT, Mode
from proxy.resp import MAX_LINE, Command, integer, line_end, parse

__all__ = ["CommandScanner"]

_LONGEST_NAME = 16  # of the names anybody asks about; longer ones are not looked at
_ARRAY = ord("*")
_QUIT = b"QUIT"
_LOGINS = frozenset((b"AUTH", b"HELLO"))
_STOPS = _LOGINS | {_QUIT, b"RESET"}
_MAX_COUNT = 2**31 - 1
_MOST = 64  # arguments of a command that is waited for: with every piece that comes, it is read again
_READ = {  # whose arguments matter, if they are from so many to so many, the name included
    b"AUTH": (2, 3),
    b"HELLO": (5, _MAX_COUNT),
    _QUIT: (1, _MAX_COUNT),
    b"RESET": (1, 1),
    b"CLIENT": (3, 3),
    b"SCRIPT": (3, 3),
}
_NOTED = LOOKED_AT | frozenset(_READ)
_HEAD = 64  # bytes in which the first two arguments of a SCRIPT DEBUG begin
_COUNTS = {b"*%d" % count: count for count in range(64)}
_LENGTHS = {b"$%d" % length: length for length in range(1024)}


def _plain_name(length: int) -> bytes:
    """Matches the names of this length of which nothing is noted."""
    noted = b"|".join(name for name in sorted(_NOTED) if len(name) == length)
    return (b"(?!(?i:%b))" % noted if noted else b"") + rb"[^\0\r]{%d}" % length


_NAME = short_frames.bulk(range(1, _LONGEST_NAME + 1), _plain_name)
_PLAIN = short_frames.run(short_frames.command(_NAME))
_OPENING = re.compile(short_frames.opening(_NAME), re.DOTALL)


class CommandScanner:
    """Finds the commands in what a client sends.

    Args:
        strict: True: no login may pass unseen, as one could once the Lua debugger may read what follows.

    Attributes:
        commands: how many were let through, or at least begun.
        found: the AUTH, HELLO, QUIT or RESET at which the scan stopped; `take` gives its bytes and lets the scan go on.
        refusal: why what it stopped at must not pass, and `found` stands for nothing.
        stopped: True where everything is held back: at `found`, or since `stop`.
        mode: what the commands let through have made of the connection.
        lost: True once the bytes are not RESP, or no longer read as such. From there on they pass unseen.
    """

    __slots__ = (
        "_args",
        "_called",
        "_from",
        "_held",
        "_latest",
        "_skip",
        "_strict",
        "commands",
        "found",
        "lost",
        "mode",
        "refusal",
        "stopped",
    )

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self.commands = 0
        self.found: Command | None = None
        self.refusal: UnfollowedError | None = None
        self.stopped = False
        self.mode = Mode()
        self._called: bytes | None = b""  # the latest command's; None: see `_latest`
        self._latest = b""  # the latest short one
        self.lost = False
        self._held = b""  # arrived and neither passed on nor dropped, from `_from` on
        self._from = 0
        self._skip = 0  # bytes of the current argument, its line end included, still to come
        self._args = 0  # arguments of the current command after that

    @property
    def at_boundary(self) -> bool:
        """True where all that was let through is whole commands."""
        return not (self._skip or self._args or self.lost)

    @property
    def last_name(self) -> bytes:
        """The name of the latest command, as sent, where it has at most 16 bytes."""
        return self._latest.split(b"\r\n", 3)[2] if self._called is None else self._called

    @property
    def held(self) -> int:
        """Bytes held back."""
        return len(self._held) - self._from

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; give what may pass now, `data` itself where that is all of it."""
        start = 0
        if self._held:
            if data:
                data = self._held[self._from :] + data
            else:
                data, start = self._held, self._from
            self._held, self._from = b"", 0
        if self.stopped:
            self._held, self._from = data, start
            return b""
        end = len(data) if self.lost else self._scan(data, start)
        return data if end - start == len(data) else data[start:end]

    def _scan(self, data: bytes, at: int) -> int:
        """Past what may pass of the commands from `at` on; the rest is held."""
        end = len(data)
        while at < end:
            if not (self._skip or self._args):
                at = self._plain(data, at)
                if at == end:
                    break
            if self._skip:
                if end - at < self._skip:
                    self._skip -= end - at
                    break
                at += self._skip
                self._skip = 0
                continue
            try:
                after = self._argument(data, at) if self._args else self._command(data, at)
            except ProtocolError:
                self.lost = self.mode.may_end = True
                break
            if after < 0:
                # Of many logins in a chunk, each would copy those behind it.
                self._held, self._from = (data, at) if self.stopped else (data[at:], 0)
                return at
            at = after
        return end

    def _plain(self, data: bytes, at: int) -> int:
        """Past the whole commands that follow which are short, and about nothing."""
        found = _PLAIN.findall(data, at)
        if not found[-1]:
            found.pop()
        if found:
            self._latest, self._called = found[-1], None
            self.commands += len(found)
            at += len(b"".join(found))
        if at < len(data) and (opening := _OPENING.match(data, at)) is not None:
            self._latest, self._called = opening[0], None
            self.commands += 1
            self._skip = int(opening[1]) + 2
            at = opening.end()
        return at

    def take(self) -> bytes:
        """The bytes of the command that was found. What came behind it is scanned by the next `feed`."""
        assert self.found is not None  # noqa: S101 -- a caller's mistake, not an input
        end = self._from + self.found.end
        raw = self._held[self._from : end]
        self._from = end
        self.commands += 1
        if self.found.name in LOOKED_AT:
            self.mode.note(self.found.name, len(self.found.args), self.commands)
        self.found = None
        self.stopped = False
        return raw

    def stop(self) -> None:
        """Hold back everything from here on, until `go_on`."""
        self.stopped = True

    def give_up(self) -> bytes:
        """What is held back, for somebody else to go on with."""
        held = self._held[self._from :]
        self._held, self._from = b"", 0
        return held

    def go_on(self) -> bytes:
        """Let pass again; gives what was held and may pass now."""
        self.stopped = False
        return self.feed(b"")

    def _argument(self, data: bytes, at: int) -> int:
        """Past the header of the next argument; -1: it is not all there."""
        line = data.find(b"\r", at, at + MAX_LINE)
        if line < 0 or line + 2 > len(data):
            return self._wait(data, at)
        header = data[at:line]
        length = _LENGTHS.get(header)
        self._skip = (_length(header) if length is None else length) + 2
        self._args -= 1
        return line + 2

    def _command(self, data: bytes, at: int) -> int:
        """Past the name of the command that begins here; -1: that is not all there, or the scan stopped at it."""
        if data[at] != _ARRAY:
            return self._inline(data, at)
        line = data.find(b"\r", at, at + MAX_LINE)
        if line < 0 or line + 2 > len(data):
            return self._wait(data, at)
        header = data[at:line]
        count = _COUNTS.get(header)
        if count is None:
            count = _number(header)
        return line + 2 if count <= 0 else self._name(data, at, line + 2, count)

    def _name(self, data: bytes, at: int, name_at: int, count: int) -> int:
        """Past the name, for a command of `count` arguments that begins at `at`; otherwise like `_command`."""
        line = data.find(b"\r", name_at, name_at + MAX_LINE)
        if line < 0 or line + 2 > len(data):
            return self._wait(data, at)
        length = _LENGTHS.get(data[name_at:line])
        if length is None:
            length = _length(data[name_at:line])
        start = line + 2
        if length <= _LONGEST_NAME:
            self._called = name = data[start : start + length]
            if len(name) < length:
                return -1
        else:
            self._called = b""
            name = data[start : start + _LONGEST_NAME]
            if len(name) < _LONGEST_NAME:
                return -1
        if (name.upper() in _NOTED or b"\0" in name) and not self._note(data, at, name.upper(), count):
            return -1
        self.commands += 1
        self._args = count - 1
        self._skip = length + 2
        return start

    def _note(self, data: bytes, at: int, name: bytes, count: int) -> bool:
        """Look closer at the command of `count` arguments that begins here; True: it may pass."""
        if b"\0" in name:
            # Redis compares names as C does, up to the NUL. Whether it compares them at all is for a hash to say.
            return name.partition(b"\0")[0] not in _NOTED or self._refuse(
                UnfollowedError("a command's name with a NUL in it is not passed on", reason="nul_in_name")
            )
        fewest, most = _READ.get(name, (1, 0))
        if fewest <= count <= most:
            passes = self._look(data, at, name)
            if passes is not None:
                return passes
        if name in LOOKED_AT:
            self.mode.note(name, count, self.commands + 1)
        elif name in _READ:
            self.mode.note_unread(name, count, self.commands + 1)
        return True

    def _look(self, data: bytes, at: int, name: bytes) -> bool | None:
        """Read the command that begins here, if it can be held; whether it may pass, and None where it passes unread."""
        try:
            command = parse(data, at, max_args=_MOST, max_bulk=MAX_LINE)
        except LimitError:
            enough = _HEAD if name == b"SCRIPT" else 0
        else:
            if command is not None:
                return self._read(command, at)
            enough = MAX_LINE
        if len(data) - at <= enough:
            return False
        if name in _LOGINS:
            return self._refuse(
                UnfollowedError("more than 64 KiB or 64 arguments in a login", reason="login_too_big")
            )
        if name == b"SCRIPT" and b"\r\nDEBUG" in data[at : at + _HEAD].upper():
            raise ProtocolError(_DEBUGGER)
        return None

    def _read(self, command: Command, at: int) -> bool:
        """Look at the arguments of the command, which begins here; True: it may pass."""
        if command.name in _STOPS:
            self.mode.note_login(command.args)
            self.found = command._replace(end=command.end - at)
            self.stopped = True
            return False
        if command.name == b"CLIENT":
            self.mode.note_client(command.args, self.commands + 1)
        elif _starts_debugger(command.args):
            if not self._strict:
                raise ProtocolError(_DEBUGGER)
            return self._refuse(
                UnfollowedError(
                    "SCRIPT DEBUG is not passed on for a client with a role", reason="not_followed"
                )
            )
        return True

    def _refuse(self, why: UnfollowedError) -> bool:
        self.refusal = why
        self.found = Command((), 0)
        self.stopped = True
        return False

    def _inline(self, data: bytes, at: int) -> int:
        """Past an inline command; -1: it is not all there, or the scan stopped at it."""
        if line_end(data, at, b"\n") < 0 and len(data) - at > MAX_LINE:
            self._refuse(EndlessLineError())  # Redis would too, or not, as the rest happens to arrive
            return -1
        command = parse(data, at)
        if command is None:
            return -1
        self._called = name = command.name
        if (name in _NOTED or b"\0" in name) and not self._note(data, at, name, len(command.args)):
            return -1
        self.commands += bool(command.args)
        return command.end

    @staticmethod
    def _wait(data: bytes, at: int) -> int:
        if len(data) - at > MAX_LINE:
            raise ProtocolError("too big count string")
        return -1


def _number(header: bytes) -> int:
    """The number in the head of an array."""
    number = integer(header[1:])
    if number is None or number > _MAX_COUNT:
        raise ProtocolError("invalid multibulk length")
    return number


def _length(header: bytes) -> int:
    """The length in the head of an argument."""
    length = integer(header[1:])
    if header[:1] != b"$" or length is None or length < 0:
        raise ProtocolError("invalid bulk length")
    return length


_DEBUGGER = "what follows may be the debugger's"


def _starts_debugger(args: tuple[bytes, ...]) -> bool:
    """Whether a SCRIPT switches on Redis' Lua debugger, which frames what it reads in ways of its own.

    A login that were found, and given its password, where the debugger sees the text of a script would be shown to the
    client.
    """
    about, how = (arg.partition(b"\0")[0].upper() for arg in args[1:3])
    return about == b"DEBUG" and how in (b"YES", b"SYNC")
