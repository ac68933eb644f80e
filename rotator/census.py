"""Which untagged users were managed once: those that have a secret of ours. Asked of each place by itself."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from discovery.errors import AwsError
from discovery.model import Authentication, Inventory, Place, UserKey
from rotator.secrets import Vault

__all__ = ["Census", "Count"]

_log = structlog.get_logger(__name__)

_TIMEOUT = 5.0  # seconds: whoever waits for the answer has an inventory to serve


@dataclass(frozen=True, slots=True)
class Count:
    """What a census found.

    Attributes:
        released: untagged users that were managed once.
        unknown: untagged users of whom AWS won't tell; of these a proxy keeps what it knows from before.
    """

    released: frozenset[UserKey] = frozenset()
    unknown: frozenset[UserKey] = frozenset()


class Census:
    """Takes it.

    Args:
        vault_at: the secrets of a place; None while no session is open there.
    """

    def __init__(self, vault_at: Callable[[Place], Vault | None]) -> None:
        self._vault_at = vault_at
        self._errors: dict[Place, str] = {}

    async def take(self, inventory: Inventory) -> Count:
        """Look at the secrets of every place that has untagged password users. Never fails."""
        untagged: dict[Place, set[UserKey]] = {}
        for user in inventory.users.values():
            if not user.managed and user.authentication is Authentication.PASSWORD:
                untagged.setdefault(user.key.place, set()).add(user.key)
        async with asyncio.TaskGroup() as group:
            counts = [group.create_task(self._take_at(place, keys)) for place, keys in untagged.items()]
        return Count(
            frozenset().union(*(count.result().released for count in counts)),
            frozenset().union(*(count.result().unknown for count in counts)),
        )

    async def _take_at(self, place: Place, keys: set[UserKey]) -> Count:
        vault = self._vault_at(place)
        if vault is None:
            return Count()
        try:
            async with asyncio.timeout(_TIMEOUT):
                names = await vault.names()
        except AwsError as error:
            return self._untold(place, keys, str(error))
        except TimeoutError:
            return self._untold(
                place, keys, f"secretsmanager:ListSecrets gave no answer within {_TIMEOUT:g} s"
            )
        self._errors.pop(place, None)
        return Count(released=frozenset(key for key in keys if vault.is_named(key, names)))

    def _untold(self, place: Place, keys: set[UserKey], error: str) -> Count:
        if self._errors.get(place) != error:  # once, not at every pass
            _log.warning("released_users_unknown", place=str(place), error=error)
        self._errors[place] = error
        return Count(unknown=frozenset(keys))
