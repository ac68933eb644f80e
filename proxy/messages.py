"""What a rotator and a proxy say to each other on the directory socket: one JSON object a line.

The rotator begins with `Whole` and goes on with `Changed`; the proxy begins with `Hello`, acknowledges every
version it serves from, and reports what only it can know.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from proxy.counters import Counters
from proxy.directory import Directory, Record, Update

__all__ = ["Acknowledged", "Changed", "FromProxy", "FromRotator", "Hello", "Rejected", "Report", "Whole"]


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


FromRotator: TypeAdapter[Whole | Changed] = TypeAdapter(
    Annotated[Whole | Changed, Field(discriminator="type")]
)
FromProxy: TypeAdapter[Hello | Acknowledged | Report | Rejected] = TypeAdapter(
    Annotated[Hello | Acknowledged | Report | Rejected, Field(discriminator="type")]
)
