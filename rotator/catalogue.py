"""Composes the directory that proxies serve from, out of what was discovered and what was read of secrets.

Pure bookkeeping: every change gives the `Update` that says it, or None where nothing changed.
"""

from collections.abc import Container, Iterable, Iterator

from discovery import model
from proxy.directory import Credential, Database, Directory, Tls, Update
from rotator.tokens import grant

__all__ = ["Catalogue", "directory_databases"]


def directory_databases(inventory: model.Inventory, logged_in: Container[str]) -> dict[str, Database]:
    """The databases of an inventory as a proxy sees them, each with the users that Valkeeper logs in.

    `logged_in` holds these users' credential keys, whether or not their passwords are known yet.
    """
    users: dict[str, dict[str, str]] = {name: {} for name in inventory.databases}
    for user, database in _pairs(inventory):
        key = credential_key(user, database)
        if key is not None and key in logged_in:
            users[database.name][user.name] = key
    for database in inventory.databases.values():
        for handed_on in database.handed_on:
            users[database.name][handed_on.name] = handed_on_key(database.name, handed_on.name)
    return {
        name: Database(
            name=name,
            host=database.endpoint.host,
            port=database.endpoint.port,
            tls=Tls(
                mode=database.tls.mode, server_name=database.tls.server_name, ca_file=database.tls.ca_file
            ),
            cluster_mode=database.cluster_mode,
            mode=database.upstream_mode,
            labels=dict(database.labels),
            users=users[name],
        )
        for name, database in inventory.databases.items()
    }


def _pairs(inventory: model.Inventory) -> Iterator[tuple[model.User, model.Database]]:
    for user in inventory.users.values():
        for database in inventory.databases_of(user):
            yield user, database


def credential_key(user: model.User, database: model.Database) -> str | None:
    """The key of the credential that logs a user in to a database: a token is for one cache, a password for all.

    None: an IAM user that can have no token there.
    """
    if user.authentication is not model.Authentication.IAM:
        return str(user.key)
    allowed = grant(user, database)
    return allowed.key if allowed is not None else None


def handed_on_key(database: str, user: str) -> str:
    """The credential key of a static database's own user."""
    return f"static/{database}/user/{user}"


class Catalogue:
    """The directory as it is now, and the version in which each credential was last changed."""

    def __init__(self) -> None:
        self.directory = Directory()
        self._inventory = model.Inventory()
        self._kept: set[str] = set()  # keys of users that are logged in as soon as their passwords are known
        self._stale = False  # the inventory is newer than the directory's databases
        self._since: dict[str, int] = {}  # credential key → directory version that brought it

    @property
    def inventory(self) -> model.Inventory:
        """What was discovered last."""
        return self._inventory

    def since(self, key: str, version: str) -> int | None:
        """The directory version that brought this version of a credential; None: it is not in the directory."""
        credential = self.directory.credentials.get(key)
        return self._since[key] if credential is not None and credential.version == version else None

    def take_inventory(
        self, inventory: model.Inventory, released: Iterable[model.UserKey] = ()
    ) -> Update | None:
        """Serve what was discovered. Credentials that nothing refers to any longer go."""
        self._inventory, self._stale = inventory, True
        iam = model.Authentication.IAM
        keys = [(user, credential_key(user, database)) for user, database in _pairs(inventory)]
        self._kept = {key for user, key in keys if key and (user.managed or user.authentication is iam)}
        self._kept |= {str(key) for key in released}
        # A user that reaches nothing for the moment keeps its password, too.
        wanted = {str(key) for key, user in inventory.users.items() if user.authentication is not iam}
        wanted |= {key for _, key in keys if key} | {
            handed_on_key(database.name, user.name)
            for database in inventory.databases.values()
            for user in database.handed_on
        }
        return self._change((), [key for key in self.directory.credentials if key not in wanted])

    def take_credentials(self, credentials: Iterable[Credential]) -> Update | None:
        """Serve these credentials from now on, in the place of older ones of the same keys."""
        known = self.directory.credentials
        return self._change([c for c in credentials if known.get(c.key) != c], ())

    def drop_credentials(self, keys: Iterable[str]) -> Update | None:
        """Stop logging these users in: their own AUTH goes through untouched again."""
        return self._change((), [key for key in keys if key in self.directory.credentials])

    def again(self, key: str) -> Update:
        """The record of a credential as it is: the answer to a proxy that found it rejected."""
        credential = self.directory.credentials.get(key)
        return Update(
            version=self.directory.version,
            credentials=(credential,) if credential is not None else (),
            removed_credentials=() if credential is not None else (key,),
        )

    def _change(self, changed: Iterable[Credential], removed: Iterable[str]) -> Update | None:
        changed, removed = tuple(changed), tuple(removed)
        credentials = dict(self.directory.credentials) | {c.key: c for c in changed}
        for key in removed:
            credentials.pop(key, None)
        before = self.directory.databases
        if self._stale or credentials.keys() != self.directory.credentials.keys():
            databases = directory_databases(self._inventory, self._kept | credentials.keys())
            self._stale = False
        else:
            databases = dict(before)  # a password that is only replaced changes no database
        update = Update(
            version=self.directory.version + 1,
            databases=tuple(d for name, d in databases.items() if before.get(name) != d),
            credentials=changed,
            removed_databases=tuple(name for name in before if name not in databases),
            removed_credentials=removed,
        )
        if not (update.databases or changed or update.removed_databases or removed):
            return None
        for key in removed:
            self._since.pop(key, None)
        self._since |= dict.fromkeys((c.key for c in changed), update.version)
        self.directory = self.directory.updated(update)
        return update
