"""Databases that the configuration names, in AWS or not."""

from collections.abc import Sequence

from discovery.model import Database, DatabaseKind, HandedOnUser, Tls
from discovery.source import Answer, FoundDatabase
from discovery.static_settings import StaticDatabaseSettings

__all__ = ["StaticSource"]


class StaticSource:
    """Reads nothing: says what the configuration says. Passwords stay in their files."""

    name = "static"

    def __init__(self, databases: Sequence[StaticDatabaseSettings]) -> None:
        self._answer = Answer(tuple(FoundDatabase(f"static/{one.name}", _database(one)) for one in databases))

    async def read(self) -> Answer:
        """The configured databases, always."""
        return self._answer


def _database(settings: StaticDatabaseSettings) -> Database:
    return Database(
        name=settings.name,
        kind=DatabaseKind.STATIC,
        endpoint=settings.endpoint,
        tls=Tls(settings.tls.mode, settings.tls.server_name, settings.tls.ca_file),
        labels=dict(settings.labels),
        handed_on=tuple(HandedOnUser(user.name, user.password_file) for user in settings.users),
        description=settings.description,
    )
