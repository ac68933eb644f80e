"""Gives open connections a fresh token in time, so that AWS does not end them."""

import asyncio
import functools
from collections.abc import Iterable

import structlog

from proxy.directory import Credential, Database
from proxy.errors import RejectedError, UnreachableError
from proxy.floor import Floor
from proxy.interlude import Fence
from proxy.login import ask, log_in
from proxy.resp import encode
from proxy.session import Session
from proxy.tenure import advice

__all__ = ["LOOK_SECONDS", "Renewer"]

log = structlog.get_logger("proxy")

LOOK_SECONDS = 20.0
"""How often to look: a connection has hundreds of moments to be renewed in."""

_PROVEN_SECONDS = 600.0
_DOUBTED_SECONDS = 60.0


class Renewer:
    """Looks at all sessions now and then.

    Args:
        floor: what they share.
    """

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        # By database and credential: why a fresh token cannot be sent there, and until when that need not be asked again.
        self._proofs: dict[tuple[str, str], tuple[str | None, float]] = {}
        self._late: dict[
            Session, str
        ] = {}  # those that should have been renewed by now, and why they were not

    async def look(self, sessions: Iterable[Session]) -> None:
        """Begin to renew those that are due, as far as that can be done now, and end those whose time is over."""
        late = {}
        for session in sessions:
            since = session.guest.token_since
            what = "wait" if since is None else advice(session.id, since, self._floor.now())
            if what == "wait" or session.state != "open":
                continue
            if what == "end":
                session.end(
                    "AWS ends connections of IAM users after 12 hours, and this one could not be given a fresh token "
                    f"({self._late.get(session, 'nobody looked in time')}); connect again",
                    "not_renewed",
                )
                continue
            obstacle = await self._renew(session)
            if obstacle is not None and what == "complain":
                late[session] = obstacle
                if session not in self._late:
                    self._count(session, "late")
                    log.warning("connection not renewed yet", error=obstacle, **session.facts)
        self._late = late

    async def _renew(self, session: Session) -> str | None:
        """Begin to renew a session; why it cannot be done, or not now."""
        guest = session.guest
        credential = guest.credential
        database = self._floor.directory.databases.get(guest.database)
        if guest.is_uncertain:
            return "it has changed its user since, and whether the database accepted that is not known"
        if database is None or credential is None or credential.kind != "iam":
            return "Valkeeper has no tokens for its user any more"
        if self._floor.has_expired(credential):
            return "its token has expired, and the rotator gives no fresh one; see that valkeeper serve is running"
        obstacle = await self._prove(database, credential)
        if obstacle is not None:
            return obstacle
        password = credential.current.get_secret_value()
        return session.interlude(
            encode((b"AUTH", credential.username.encode(), password.encode())),
            functools.partial(self._answered, session, credential),
        )

    async def _prove(self, database: Database, credential: Credential) -> str | None:
        """See on a connection on the side that a database takes the token and knows the fence; why not, where not.

        What stands before a serverless cache need not answer as Redis does, and a client is no place to find out.
        """
        key, now = (database.name, credential.key), self._floor.now()
        obstacle, until = self._proofs.get(key, (None, 0.0))
        if now >= until:
            obstacle = await self._obstacle(database, credential)
            self._proofs[key] = (obstacle, now + (_PROVEN_SECONDS if obstacle is None else _DOUBTED_SECONDS))
        return obstacle

    async def _obstacle(self, database: Database, credential: Credential) -> str | None:
        deadline = asyncio.get_running_loop().time() + self._floor.settings.connect_timeout
        fence = Fence.new()
        upstream = None
        try:
            upstream, _ = await log_in(self._floor, database, credential, deadline)
            reply = await ask(self._floor, database, upstream, fence.command, deadline)
        except (UnreachableError, RejectedError) as error:
            return str(error)
        finally:
            if upstream is not None:
                upstream.close()
        return None if reply == fence.reply else "the database does not answer HELLO as Redis does"

    def _answered(self, session: Session, credential: Credential, line: bytes) -> None:
        """Take note of what the database said to the fresh token."""
        if line.startswith(b"+"):
            session.guest.logged_in(credential, credential.made)
            self._count(session, "renewed")
            log.debug("connection renewed", version=credential.version, **session.facts)
            return
        self._proofs.pop((session.guest.database, credential.key), None)
        self._floor.doubt(session.guest.database, credential)
        self._count(session, "refused")
        log.warning("connection not renewed yet", error=line[1:].decode("utf-8", "replace"), **session.facts)

    def _count(self, session: Session, outcome: str) -> None:
        self._floor.tally(session.guest.counted_under).renewal(outcome)
