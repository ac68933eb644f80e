"""A session as a list of sessions shows it."""

from proxy.messages import SessionRecord
from proxy.session import Session

__all__ = ["record_of"]

_LONGEST_NAME = 128  # of a user or database, in characters


def record_of(session: Session) -> SessionRecord:
    """What a list of sessions shows of one."""
    return SessionRecord(
        id=session.id,
        identity=str(session.identity),
        uid=session.identity.uid,
        pid=session.identity.pid,
        database=_shown(session.database),
        user=None if session.user is None else _shown(session.user),
        state=session.state,
        since=session.since,
        commands=session.commands,
        bytes_from_client=session.bytes_from_client,
        bytes_from_database=session.bytes_from_database,
    )


def _shown(name: str) -> str:
    """A name that a client made up, fit for anybody's terminal: bounded, and without control characters."""
    if len(name) <= _LONGEST_NAME and name.isprintable():
        return name
    text = name[:_LONGEST_NAME].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
