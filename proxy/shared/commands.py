"""Which commands may go over a connection that many clients share, and why the others may not. Pure.

A command may if neither its meaning nor that of any later one depends on the connection it comes by, and if its answer
is one reply that comes as soon as its turn does. The server's own COMMAND table tells most of it
(https://redis.io/docs/latest/commands/command/): what reads or writes keys may go, unless it blocks. A name that the
table does not know, and every command of a table that can't be read, gets a connection of its own.
"""

from collections.abc import Iterable, Mapping, Sequence

__all__ = ["QUIT", "CommandTable", "read_table"]

QUIT = "quit"
"""The obstacle that is none: it needs no database at all."""

_UNKNOWN = "unknown"
_REASONS = {
    "transaction": "MULTI EXEC DISCARD WATCH UNWATCH",
    "blocking": "WAIT WAITAOF",
    "pubsub": "SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE MONITOR",
    "connection": "AUTH HELLO RESET SELECT CLIENT ASKING READONLY READWRITE",
    QUIT: "QUIT",
    "replication": "SYNC PSYNC REPLCONF",
}
"""Commands of which the table's flags do not tell enough, or that need no table to be told. None of them may go."""

_ALONE = frozenset(b"blocking admin asking pubsub".split())
_DATA = frozenset(b"readonly write".split())
_HARMLESS = frozenset(
    b"PING ECHO TIME INFO COMMAND LASTSAVE PUBLISH SPUBLISH PUBSUB "
    b"EVAL EVAL_RO EVALSHA EVALSHA_RO FCALL FCALL_RO SCRIPT|EXISTS SCRIPT|LOAD CLIENT|SETINFO".split()
)
"""Commands without keys, or without flags that say so, that are about no connection.

What a script does to its connection ends with the script. CLIENT SETINFO only tells people which library is at the other
end, and every library says it as soon as it is connected.
"""

Reasons = Mapping[bytes, "str | Mapping[bytes, str]"]
"""By name, in upper case: why the command may not be shared, empty where it may; of a container, by subcommand."""


class CommandTable:
    """What one server's commands need.

    Args:
        reasons: by name in upper case; see `Reasons`.

    Attributes:
        heads: of commands that were shared, as they were written up to their names: how many arguments follow.
    """

    __slots__ = ("_reasons", "heads")

    def __init__(self, reasons: Reasons) -> None:
        # Clients write names in capitals or in small letters; anything between is looked up with some more effort.
        self._reasons = {**reasons, **{name.lower(): reason for name, reason in reasons.items()}}
        self.heads: dict[bytes, int] = {}

    def reason(self, name: bytes) -> str | Mapping[bytes, str]:
        """Why this command needs a connection of its own, in a word, or by subcommand; empty: it may be shared."""
        reason = self._reasons.get(name)
        return self._reasons.get(name.upper(), _UNKNOWN) if reason is None else reason

    def obstacle(self, args: Sequence[bytes]) -> str:
        """Why this command needs a connection of its own, in a word; empty: it may be shared."""
        reason = self.reason(args[0])
        if isinstance(reason, str):
            return reason
        return reason.get(args[1].upper(), _UNKNOWN) if len(args) > 1 else ""

    def shared(self) -> list[str]:
        """The names of all commands that may be shared, for people."""
        names = []
        for name, reason in self._reasons.items():
            if not name.isupper():
                continue
            if isinstance(reason, str):
                names += [name.decode()] if not reason else []
            else:
                names += [f"{name.decode()} {sub.decode()}" for sub, why in reason.items() if not why]
        return sorted(names)


def read_table(reply: object) -> CommandTable:
    """The table out of a server's answer to COMMAND, as hiredis reads it; where it is none, one that shares nothing."""
    reasons: dict[bytes, str | Mapping[bytes, str]] = {}
    for name, flags, subcommands in _entries(reply):
        kinds = {
            sub.partition(b"|")[2].upper(): _reason(sub.upper(), more)
            for sub, more, _ in _entries(subcommands)
        }
        # A container's own flags say nothing. Servers before 7.0 list no subcommands, so theirs all need an own one.
        reasons[name.upper()] = kinds or _reason(name.upper(), flags)
    client = reasons.get(b"CLIENT")
    if isinstance(
        client, Mapping
    ):  # servers before 7.2 don't know it, and say so as well on a shared connection
        reasons[b"CLIENT"] = {**client, b"SETINFO": ""}
    for reason, names in _REASONS.items():
        for known in names.encode().split():
            if known != b"CLIENT" or not isinstance(reasons.get(known), Mapping):
                reasons[known] = reason
    return CommandTable(reasons)


def _reason(name: bytes, flags: frozenset[bytes]) -> str:
    """By a command's full name, `CONTAINER|SUBCOMMAND` where it is one of those."""
    if name in _HARMLESS or name.partition(b"|")[0] in _HARMLESS:
        return ""
    if b"blocking" in flags:
        return "blocking"
    if not flags & _DATA or flags & _ALONE:
        return "connection" if name.startswith(b"CLIENT|") else "other"
    return ""


def _entries(reply: object) -> Iterable[tuple[bytes, frozenset[bytes], object]]:
    """Name, flags and subcommands of each command in an answer to COMMAND; none where it is something else."""
    if not isinstance(reply, list):
        return
    for entry in reply:
        if isinstance(entry, list) and len(entry) > 2 and isinstance(entry[0], bytes):  # noqa: PLR2004
            flags = entry[2] if isinstance(entry[2], list) else []
            subcommands = entry[9] if len(entry) > 9 else None  # noqa: PLR2004  since 7.0
            yield entry[0], frozenset(flag for flag in flags if isinstance(flag, bytes)), subcommands
