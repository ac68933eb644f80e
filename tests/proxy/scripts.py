"""Conversations with what has no sockets, written as they are spoken, and the ways in which a network may cut them up."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, pairwise

from proxy.handshake import Begin, Close, Handshake, Reply
from proxy.resp import encode

__all__ = ["TAIL", "Script", "client", "ways_to_cut"]

TAIL = encode((b"GET", b"k")) + b"*2\r\n$3\r\nGE"
"""What a client may have sent behind anything: commands, and the beginning of one."""

_SHORT = 30
_MEDIUM = 2_000
_BLOCK = 4_093


def ways_to_cut(data: bytes) -> Iterator[list[bytes]]:
    """Whole; byte by byte; at every point, and every pair of points where it is short; what is long, in blocks."""
    yield [data]
    if len(data) > _MEDIUM:
        yield [data[at : at + _BLOCK] for at in range(0, len(data), _BLOCK)]
        return
    yield [data[at : at + 1] for at in range(len(data))]
    inside = range(1, len(data))
    for points in combinations(inside, 2) if len(data) <= _SHORT else ((at,) for at in inside):
        yield [data[start:end] for start, end in pairwise((0, *points, len(data)))]


@dataclass(frozen=True)
class Turn:
    """Something a client says, and what each of the answers begins with."""

    said: bytes
    heard: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a handshake comes to: its answers, how it ends, and what then goes to the database."""

    answers: tuple[bytes, ...]
    end: tuple[object, ...]
    passed: bytes | None = None  # to a database that is to see everything
    behind: bytes | None = None  # to one that the client has been logged in to


@dataclass(frozen=True)
class Script:
    """A conversation of one client: what it says and hears in turn, and how that ends."""

    database: str | None
    db_user: str | None
    turns: tuple[Turn, ...] = ()
    end: tuple[object, ...] = ("waits",)

    def says(self, *parts: bytes) -> "Script":
        """The client sends this."""
        return replace(self, turns=(*self.turns, Turn(b"".join(parts))))

    def hears(self, *answers: bytes) -> "Script":
        """It reads answers that begin like these, and the handshake goes on."""
        return replace(self, turns=(*self.turns[:-1], replace(self.turns[-1], heard=answers)))

    def begins(self, user: str = "default", *, login: bool = False, database: str = "orders") -> "Script":
        """The client is let in as this user; with what it said last, which is a login or is not."""
        return replace(self, end=("begins", database, user, login))

    def closes(self, reason: str, words: bytes = b"") -> "Script":
        """The client reads this, and is hung up on."""
        return replace(self, end=("closes", reason, words))

    @property
    def said(self) -> bytes:
        return b"".join(turn.said for turn in self.turns)

    def play(self, pieces: list[bytes]) -> Outcome:
        """What comes of it when the client's bytes arrive like this."""
        handshake = Handshake(self.database, self.db_user)
        answers: list[bytes] = []
        for number, piece in enumerate(pieces, 1):
            handshake.receive(piece)
            while (step := handshake.next()) is not None:
                if isinstance(step, Reply):
                    answers.append(step.data)
                    continue
                later = b"".join(pieces[number:])
                return _ended(tuple(answers), step, later)
        return Outcome(tuple(answers), ("waits",))

    def check(self, pieces: list[bytes], *, tail: bytes = b"") -> None:
        """Play it, and compare with what is written."""
        outcome = self.play([*pieces, tail] if tail else pieces)
        self._compare(outcome, tail)

    def check_glued(self, tail: bytes) -> None:
        """The same where everything and more behind it arrives at once."""
        self._compare(self.play([self.said + tail]), tail)

    def check_in_turns(self) -> None:
        """Every answer comes as soon as what it answers was said, and none before."""
        for count in range(1, len(self.turns)):
            heard = sum(len(turn.heard) for turn in self.turns[:count])
            outcome = self.play([turn.said for turn in self.turns[:count]])
            assert (len(outcome.answers), outcome.end) == (heard, ("waits",))

    def _compare(self, outcome: Outcome, tail: bytes) -> None:
        heard = [words for turn in self.turns for words in turn.heard]
        assert outcome.end == self.end
        assert len(outcome.answers) == len(heard), outcome.answers
        for answer, words in zip(outcome.answers, heard, strict=True):
            assert answer.startswith(words)
        if self.end[0] == "begins":
            assert outcome.passed == self.turns[-1].said + tail
            assert outcome.behind == (tail if self.end[3] else None)


def _ended(answers: tuple[bytes, ...], step: Close | Begin, later: bytes) -> Outcome:
    if isinstance(step, Close):
        return Outcome(answers, ("closes", step.reason, step.data))
    is_login = step.login is not None
    end = ("begins", step.database, step.user, is_login)
    return Outcome(answers, end, step.raw + later, step.rest + later if is_login else None)


def client(database: str | None = "orders", db_user: str | None = None) -> Script:
    """A client that has just come in by a listener for one database, or for all."""
    return Script(database, db_user)
