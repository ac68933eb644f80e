"""Which faults a conversation is put through, and what has to come of each."""

import re
from dataclasses import dataclass

from tests.faults.conversation import Conversation
from tests.faults.wire import Fault

__all__ = ["SIDES", "Case", "every_case", "problem"]

SIDES = {
    "client": ("stall", "half-close", "cut"),  # between the client and Valkeeper's Unix socket
    "local": ("stall", "half-close", "cut", "reset"),  # the same over loopback TCP
    "database": (
        "stall",
        "cut",
        "reset",
    ),  # between Valkeeper and the database, counted in commands and replies
    "wire": ("stall", "half-close", "cut", "reset"),  # the same, counted in bytes of TLS
}
"""Where the wire is, and how it may break there. asyncio's TLS knows no half-close, and a Unix socket no reset."""

_LOGGED_IN = len(b"+OK\r\n")
_ERROR = re.compile(
    rb"-ERR valkeeper: database '\w+' (?:hung up before it answered|at localhost:\d+ is unreachable)[^\r]*\r\n\Z"
)


@dataclass(frozen=True)
class Case:
    """A wire and its fault."""

    side: str
    fault: Fault

    def __str__(self):
        return f"{self.side} {self.fault.kind} {self.fault.way} at {self.fault.at}"

    @property
    def what(self):
        """What of a turn passes the wire on its way to the database."""
        return "said" if self.side in ("client", "local") else "heard"

    def meanwhile(self, conversation):
        """What the client has been answered while the wire is stalled; None: that can't be told."""
        way, at = self.fault.way, self.fault.at
        if self.side == "wire":
            return None
        if way == "there":
            return conversation.within(self.what, at)[0]
        return conversation.replies[:at] if self.side != "database" or at >= _LOGGED_IN else b""


def every_case(sizes, *, sides=SIDES, corners=False):
    """All of them, at every byte.

    Args:
        sizes: how many bytes of TLS pass in a whole conversation, by way.
        sides: only on these.
        corners: True: only at the most promising bytes, each with one kind of fault.
    """
    sound = Conversation("f-000000")
    for side in sides:
        kinds = SIDES[side]
        for way in ("there", "back"):
            if side == "wire":
                found = range(
                    0, sizes[way] - 64, 41 if corners else 1
                )  # sizes differ by a few from time to time
            else:
                what = "reply" if way == "back" else "said" if side in ("client", "local") else "heard"
                found = sound.corners(what) if corners else range(sound.ends(what)[-1])
            for number, at in enumerate(found):
                for kind in kinds[number % len(kinds) :][:1] if corners else kinds:
                    yield Case(side, Fault(kind, way, at))


def problem(case, conversation, answer, effects):
    """What is wrong with an answer, or with what was done; None: nothing.

    Args:
        case: what the conversation was put through.
        conversation: what was said.
        answer: everything that the client read.
        effects: how many of the conversation's effects the database shows.
    """
    kind, way, at = case.fault.kind, case.fault.way, case.fault.at
    error = _ERROR.search(answer)
    replies = answer[: error.start()] if error is not None else answer
    at_most, done = conversation.replies, conversation.turns[-1].done
    exact_replies = exact_done = True
    if kind == "stall":
        pass
    elif case.side == "wire":
        exact_replies = exact_done = False
    elif way == "there":
        at_most, done = conversation.within(case.what, at)
        exact_replies = kind == "half-close"
        exact_done = kind != "reset"
    else:
        at_most = at_most[: at if case.side != "database" or at >= _LOGGED_IN else 0]
        exact_replies = case.side == "database"  # a reader of asyncio forgets what came before a reset
        exact_done = (
            case.side != "database" and at > _LOGGED_IN
        )  # a client's bytes are all there before any reply
    if not at_most.startswith(replies) or (exact_replies and replies != at_most):
        return f"read {len(replies)} bytes of replies, …{replies[-40:]!r}, and not {len(at_most)}"
    if effects > done or (exact_done and effects != done):
        return f"{effects} effects, and not {done}"
    if error is not None and (kind == "stall" or case.what == "said"):
        return f"read an error: {error[0]!r}"
    if error is not None and len(replies) not in (0, *conversation.ends("reply")):
        return f"read an error inside a reply: …{answer[-300:]!r}"
    return None
