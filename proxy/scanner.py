"""Follows a client's commands through a stream without holding it, and stops where one might log in, and at the last.

Everything passes at once, whatever its size; payloads are skipped by their length and never copied. Only the head
of a command whose name has not arrived yet, and an incomplete AUTH, HELLO, QUIT, CLIENT or SCRIPT, are held back.
"""

from proxy.errors import ProtocolError
from proxy.mode import LOOKED_AT, Mode
from proxy.resp import MAX_LINE, Command, parse

__all__ = ["CommandScanner"]

_LONGEST_NAME = 16  # of the names anybody asks about; longer ones are not looked at
_QUIT = b"QUIT"
_STOPS = frozenset((b"AUTH", b"HELLO", _QUIT))
_READ = _STOPS | {b"CLIENT", b"SCRIPT"}  # whose arguments matter
_NOTED = _READ | LOOKED_AT
_ARRAY, _BULK = b"*$"


class CommandScanner:
    """Finds the commands in what a client sends.

    Attributes:
        commands: how many were let through, or at least begun.
        found: the AUTH, HELLO or QUIT at which the scan stopped; `take` gives its bytes and lets the scan go on.
        stopped: True where everything is held back: behind `found`, or since `stop`.
        mode: what the commands let through have made of the connection.
        last_name: the name of the latest command, as sent, where it has at most 16 bytes.
        lost: True once the bytes are not RESP, or no longer read as such. From there on they pass unseen.
    """

    __slots__ = (
        "_args",
        "_held",
        "_skip",
        "commands",
        "found",
        "last_name",
        "lost",
        "mode",
        "stopped",
    )

    def __init__(self) -> None:
        self.commands = 0
        self.found: Command | None = None
        self.stopped = False
        self.mode = Mode()
        self.last_name = b""
        self.lost = False
        self._held = b""  # arrived and neither passed on nor dropped
        self._skip = 0  # bytes of the current argument, its line end included, still to come
        self._args = 0  # arguments of the current command after that

    @property
    def at_boundary(self) -> bool:
        """True where all that was let through is whole commands."""
        return not (self._skip or self._args or self.lost)

    @property
    def held(self) -> int:
        """Bytes held back."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        """Take what arrived; give what may pass now, `data` itself where that is all of it."""
        if self._held:
            data = self._held + data
            self._held = b""
        if self.lost:
            return data
        if self.stopped:
            self._held = data
            return b""
        at, end = 0, len(data)
        while at < end:
            if self._skip:
                if end - at < self._skip:
                    self._skip -= end - at
                    return data
                at += self._skip
                self._skip = 0
                continue
            try:
                after = self._argument(data, at) if self._args else self._command(data, at)
            except (ValueError, ProtocolError):
                self.lost = self.mode.may_end = True
                return data
            if after < 0:
                self._held = data[at:]
                return data[:at]
            at = after
        return data

    def take(self) -> bytes:
        """The bytes of the command that was found. What came behind it is scanned by the next `feed`."""
        assert self.found is not None  # noqa: S101 -- a caller's mistake, not an input
        raw = self._held[: self.found.end]
        self._held = self._held[self.found.end :]
        self.commands += 1
        if self.found.name == _QUIT:
            self.mode.note(_QUIT, len(self.found.args), self.commands)
        self.found = None
        self.stopped = False
        return raw

    def stop(self) -> None:
        """Hold back everything from here on, until `go_on`."""
        self.stopped = True

    def give_up(self) -> bytes:
        """What is held back, for somebody else to go on with."""
        held, self._held = self._held, b""
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
        length = int(data[at + 1 : line])
        if length < 0:
            raise ProtocolError("invalid bulk length")
        self._args -= 1
        self._skip = length + 2
        return line + 2

    def _command(self, data: bytes, at: int) -> int:
        """Past the name of the command that begins here; -1: that is not all there, or the scan stopped at it."""
        if data[at] != _ARRAY:
            return self._inline(data, at)
        line = data.find(b"\r", at, at + MAX_LINE)
        if line < 0 or line + 2 > len(data):
            return self._wait(data, at)
        count = int(data[at + 1 : line])
        return line + 2 if count <= 0 else self._name(data, at, line + 2, count)

    def _name(self, data: bytes, at: int, name_at: int, count: int) -> int:
        """Past the name, for a command of `count` arguments that begins at `at`; otherwise like `_command`."""
        line = data.find(b"\r", name_at, name_at + MAX_LINE)
        if line < 0 or line + 2 > len(data):
            return self._wait(data, at)
        length = int(data[name_at + 1 : line])
        if data[name_at] != _BULK or length < 0:
            raise ProtocolError("invalid bulk length")
        start = line + 2
        self.last_name = b""
        if length <= _LONGEST_NAME:
            if start + length > len(data):
                return -1
            self.last_name = name = data[start : start + length]
            if name.upper() in _NOTED and not self._note(data, at, count):
                return -1
        self.commands += 1
        self._args = count - 1
        self._skip = length + 2
        return start

    def _note(self, data: bytes, at: int, count: int) -> bool:
        """Look closer at the noted command of `count` arguments that begins here; True: it may pass."""
        name = self.last_name.upper()
        if name not in _READ:
            self.mode.note(name, count, self.commands + 1)
            return True
        command = parse(data, at)
        if command is None:
            # One that is too large to be held is none that matters: it passes like any other command.
            return len(data) - at > MAX_LINE
        if name in _STOPS:
            self.mode.note_login(command.args)
            self.found = command._replace(end=command.end - at)
            self.stopped = True
            return False
        if name == b"CLIENT":
            self.mode.note_client(command.args, self.commands + 1)
        elif _starts_debugger(command.args):
            raise ProtocolError("what follows may be the debugger's")
        return True

    def _inline(self, data: bytes, at: int) -> int:
        """Past an inline command; -1: it is not all there, or the scan stopped at it."""
        command = parse(data, at)
        if command is None:
            return -1
        self.last_name = command.name
        if command.name in _NOTED and not self._note(data, at, len(command.args)):
            return -1
        self.commands += bool(command.args)
        return command.end

    @staticmethod
    def _wait(data: bytes, at: int) -> int:
        if len(data) - at > MAX_LINE:
            raise ProtocolError("too big count string")
        return -1


def _starts_debugger(args: tuple[bytes, ...]) -> bool:
    """Whether a SCRIPT switches on Redis' Lua debugger, which frames what it reads in ways of its own.

    A login that were found, and given its password, where the debugger sees the text of a script would be shown to the
    client.
    """
    words = [arg.upper() for arg in args[1:3]]
    return words[:1] == [b"DEBUG"] and words[1:] != [b"NO"]
