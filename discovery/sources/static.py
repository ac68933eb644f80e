"""Databases that the configuration names, in AWS or not."""

from collections.abc import Mapping, Sequence

from discovery.errors import ConfigurationError
from discovery.model import Database, DatabaseKind, HandedOnUser, SecretReference, Tls
from discovery.source import Answer, FoundDatabase
from discovery.sources.stand_ins import static_key
from discovery.static_settings import StaticDatabaseSettings, StaticUserSettings

__all__ = ["StaticSource"]


class StaticSource:
    """Reads nothing: says what the configuration says. Passwords stay in their files and secrets.

    Args:
        databases: the section `databases:`.
        default_region: the region of secrets that nothing else tells the region of.
        sought_in: by key of a database, the sources that look for it in AWS.

    Raises:
        ConfigurationError: a secret's region is not known.
    """

    name = "static"

    def __init__(
        self,
        databases: Sequence[StaticDatabaseSettings],
        *,
        default_region: str | None = None,
        sought_in: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        keys = [static_key(one.name) for one in databases]
        found = [_database(one, position, default_region) for position, one in enumerate(databases)]
        self._answer = Answer(
            tuple(
                FoundDatabase(key, one, sought_in=tuple((sought_in or {}).get(key, ())))
                for key, one in zip(keys, found, strict=True)
            )
        )

    async def read(self) -> Answer:
        """The configured databases, always."""
        return self._answer


def _database(settings: StaticDatabaseSettings, position: int, default_region: str | None) -> Database:
    return Database(
        name=settings.name,
        kind=DatabaseKind.STATIC,
        endpoint=settings.endpoint,
        cluster_mode=settings.cluster_mode,
        tls=Tls(settings.tls.mode, settings.tls.server_name, settings.tls.ca_file),
        labels=dict(settings.labels),
        handed_on=tuple(
            HandedOnUser(
                user.name,
                user.password_file,
                _secret(settings, user, f"databases[{position}].users[{number}].secret", default_region),
            )
            for number, user in enumerate(settings.users)
        ),
        upstream_mode=settings.upstream.mode,
        description=settings.description,
    )


def _secret(
    settings: StaticDatabaseSettings, user: StaticUserSettings, key: str, default_region: str | None
) -> SecretReference | None:
    if user.secret is None:
        return None
    region = user.secret_region or settings.region(default_region)
    if region is None:
        raise ConfigurationError(
            f"{key}: its region is not known; write the secret's ARN, or set aws.region of {settings.name}, or AWS_REGION"
        )
    return SecretReference(user.secret, region, settings.role)
