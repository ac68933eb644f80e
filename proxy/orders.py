"""What the parent and a worker say to each other on their `Link`.

A worker confirms each directory and update by the parent's own serial number, which goes on growing when another
rotator begins its versions anew.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from proxy.certificate import CertificateFiles
from proxy.directory import Directory, Record, Update, UpstreamMode
from proxy.messages import AskSessions, EndSessions, Rejected, Report, SessionsPart
from proxy.roles import Role
from proxy.settings import WorkerSettings

__all__ = [
    "Answer",
    "Applied",
    "Change",
    "Drain",
    "FromParent",
    "FromWorker",
    "Listen",
    "Order",
    "Ready",
    "Retire",
    "SayReady",
    "Serve",
    "Start",
    "Unlisten",
]


class Start(Record):
    """The first thing a worker hears."""

    type: Literal["start"] = "start"
    settings: WorkerSettings
    uid: int
    gid: int
    roles: tuple[Role, ...] = ()


class Serve(Record):
    """Serve from this whole directory."""

    type: Literal["serve"] = "serve"
    serial: int
    directory: Directory


class Change(Record):
    """Serve from the directory with these changes."""

    type: Literal["change"] = "change"
    serial: int
    update: Update


class Listen(Record):
    """Accept on the listening socket that comes with this line."""

    type: Literal["listen"] = "listen"
    name: str  # of the socket, for `Unlisten`
    database: str | None
    db_user: str | None
    mode: UpstreamMode | None
    certificate: CertificateFiles | None = None  # None: plaintext
    role: str | None = None


class Unlisten(Record):
    """Accept there no more."""

    type: Literal["unlisten"] = "unlisten"
    name: str


class SayReady(Record):
    """Answer when all orders before this one are done."""

    type: Literal["say_ready"] = "say_ready"


class Retire(Record):
    """Accept no more at all, go on with the sessions that there are, and exit after the last of them."""

    type: Literal["retire"] = "retire"


class Drain(Record):
    """Accept no more at all, give the sessions their time, and exit."""

    type: Literal["drain"] = "drain"


class Ready(Record):
    """The answer to `SayReady`."""

    type: Literal["ready"] = "ready"


class Applied(Record):
    """The worker serves from what had this serial number."""

    type: Literal["applied"] = "applied"
    serial: int


Order = Start | Serve | Change | Listen | Unlisten | SayReady | Retire | Drain | AskSessions | EndSessions
Answer = Ready | Applied | Report | Rejected | SessionsPart

FromParent: TypeAdapter[Order] = TypeAdapter(Annotated[Order, Field(discriminator="type")])
FromWorker: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="type")])
