"""What a rotator and a proxy say to each other on the directory socket: one JSON object a line.

The rotator begins with `Whole` and goes on with `Changed`; the proxy begins with `Hello`, acknowledges every
version it serves from, and reports what only it can know. Questions about sessions come at any time; parent and
workers pass them on in the same words.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from proxy.counters import Counters
from proxy.directory import Directory, Record, Update

__all__ = [
    "Acknowledged",
    "AskSessions",
    "Changed",
    "EndSessions",
    "FromProxy",
    "FromRotator",
    "Hello",
    "Rejected",
    "Report",
    "SessionRecord",
    "SessionsPart",
    "Whole",
]


class Whole(Record):
    """The whole directory: what a proxy is sent when it connects. It replaces everything."""

    type: Literal["whole"] = "whole"
    directory: Directory


class Changed(Record):
    """What changed since the version before."""

    type: Literal["changed"] = "changed"
    update: Update


class Hello(Record):
    """The first thing a proxy says."""

    type: Literal["hello"] = "hello"
    pid: int
    workers: int
    started_at: float  # seconds since the epoch


class Acknowledged(Record):
    """Every worker of the proxy now logs in from this version of the directory."""

    type: Literal["acknowledged"] = "acknowledged"
    version: int
    workers: int


class Report(Record):
    """The proxy's counters, summed over its workers, living and dead. Sent each second while they change."""

    type: Literal["report"] = "report"
    counters: Counters


class Rejected(Record):
    """A database refused both of a user's passwords, or its token; or the token has expired.

    The rotator looks at AWS again and answers with an `Update` that holds the credential, changed or not.
    """

    type: Literal["rejected"] = "rejected"
    credential: str  # its key
    version: str  # the version that was refused
    database: str


class AskSessions(Record):
    """Which sessions are there? Answered by `SessionsPart`s, the last of which comes in bounded time."""

    type: Literal["ask_sessions"] = "ask_sessions"
    number: int  # the answer carries it; chosen by who asks, anew each time


class EndSessions(Record):
    """End these sessions. Answered by `SessionsPart`s with those of them that there were."""

    type: Literal["end_sessions"] = "end_sessions"
    number: int
    ids: tuple[str, ...]
    reason: str  # what the clients read, after `ERR valkeeper: `


class SessionRecord(Record):
    """A client's connection. What the client says of itself is cut to a length, and made printable."""

    id: str  # `<pid of the worker>-<number>`
    identity: str  # who calls, in words
    uid: int | None  # the same by the kernel's word; None: it came over TCP
    pid: int | None
    database: str  # empty where the client has not said yet
    user: str | None  # as which database user, by its latest login
    state: Literal["greeting", "connecting", "open", "ending"]
    since: float  # seconds since the epoch
    commands: int  # of the client's, that the database got
    bytes_from_client: int
    bytes_from_database: int


class SessionsPart(Record):
    """A part of the answer to a question about sessions."""

    type: Literal["sessions_part"] = "sessions_part"
    number: int  # the question's
    sessions: tuple[SessionRecord, ...] = ()
    last: bool = False
    silent: int = 0  # workers that did not answer in time


FromRotator: TypeAdapter[Whole | Changed | AskSessions | EndSessions] = TypeAdapter(
    Annotated[Whole | Changed | AskSessions | EndSessions, Field(discriminator="type")]
)
FromProxy: TypeAdapter[Hello | Acknowledged | Report | Rejected | SessionsPart] = TypeAdapter(
    Annotated[Hello | Acknowledged | Report | Rejected | SessionsPart, Field(discriminator="type")]
)
