"""One short conversation, what it is answered, and what it does: as it is said by a client, and as the database hears it."""

from dataclasses import dataclass
from itertools import accumulate, pairwise

from tests.proxy.dialogues import c

__all__ = ["Conversation"]

_VALUE = "v" * 300
_TRAP = "\r\n+OK\r\n$3\r\n"  # looks like the end of one reply and the beginning of another


@dataclass(frozen=True)
class Turn:
    """A command as the client says it, as the database hears it, its reply, and how many effects there are by then."""

    said: bytes
    heard: bytes
    reply: bytes
    done: int


class Conversation:
    """A client's.

    Args:
        name: of its keys, and of no other conversation's; all names are of one length.
    """

    def __init__(self, name):
        self.log = f"{name}:log"
        key, count = f"{name}:key", f"{name}:count"
        login = c("AUTH", "app", "x"), c("AUTH", "app", "app-current"), b"+OK\r\n"
        value = b"$%d\r\n%b\r\n" % (len(_VALUE), _VALUE.encode())
        self._done = 0
        self.turns = [
            self._turn(*login),
            self._turn(c("RPUSH", self.log, "0"), reply=b":1\r\n", does=1),
            self._turn(c("SET", key, _VALUE), reply=b"+OK\r\n"),
            self._turn(c("GET", key), reply=value),
            self._turn(c("ECHO", _TRAP), reply=b"$%d\r\n%b\r\n" % (len(_TRAP), _TRAP.encode())),
            self._turn(c("MULTI"), reply=b"+OK\r\n"),
            self._turn(c("RPUSH", self.log, "1"), reply=b"+QUEUED\r\n"),
            self._turn(c("INCR", count), reply=b"+QUEUED\r\n"),
            self._turn(c("EXEC"), reply=b"*2\r\n:2\r\n:1\r\n", does=1),
            self._turn(*login),
            self._turn(f"RPUSH {self.log} 2\r\n".encode(), reply=b":3\r\n", does=1),
            self._turn(c("NOSUCH"), reply=b"-ERR unknown command 'NOSUCH', with args beginning with: \r\n"),
            self._turn(c("RPUSH", self.log, "3"), reply=b":4\r\n", does=1),
            self._turn(c("BLPOP", key, "0"), reply=_WRONG_TYPE),
            self._turn(c("GET", key), reply=value),
        ]
        self.said = b"".join(turn.said for turn in self.turns)
        self.heard = b"".join(turn.heard for turn in self.turns)
        self.replies = b"".join(turn.reply for turn in self.turns)

    def _turn(self, said, heard=None, reply=b"", does=0):
        self._done += does
        return Turn(said, heard or said, reply, self._done)

    def within(self, what, count):
        """The replies to the whole commands within so many bytes of what is `said` or `heard`, and how much they do."""
        replies, done = b"", 0
        for turn in self.turns:
            count -= len(getattr(turn, what))
            if count < 0:
                break
            replies, done = replies + turn.reply, turn.done
        return replies, done

    def ends(self, what):
        """Where turns end in what is `said`, `heard` or a `reply`."""
        return list(accumulate(len(getattr(turn, what)) for turn in self.turns))

    def corners(self, what):
        """The bytes at which most is to be expected: about every end of a turn, and inside every turn."""
        ends = self.ends(what)
        about = {end + off for end in ends for off in (-1, 0, 1)}
        inside = {(start + end) // 2 for start, end in pairwise((0, *ends))}
        return sorted({0, 1} | {at for at in about | inside if at < ends[-1]})


_WRONG_TYPE = b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
