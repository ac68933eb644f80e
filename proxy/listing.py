"""A session as a list of sessions shows it."""

from proxy.messages import SessionRecord
from proxy.session import Session

__all__ = ["record_of"]

_LONGEST_NAME = 128  # of a user or database, in characters


def record_of(session: Session) -> SessionRecord:
    """What a list of sessions shows of one."""
    guest, passed = session.guest, session.passed
    return SessionRecord(
        id=session.id,
        identity=str(guest.identity),
        uid=guest.identity.uid,
        pid=guest.identity.pid,
        database=_shown(guest.database),
        user=None if guest.user is None else _shown(guest.user),
        state=session.state,
        since=session.since,
        commands=passed.commands,
        bytes_from_client=passed.from_client,
        bytes_from_database=passed.from_database,
    )


def _shown(name: str) -> str:
    """A name that a client made up, fit for anybody's terminal: bounded, and without control characters."""
    if len(name) <= _LONGEST_NAME and name.isprintable():
        return name
    text = name[:_LONGEST_NAME].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
