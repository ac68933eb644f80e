"""Rotators that are wrong on purpose: the simulator has to find every one of them.

Each is a context manager that replaces a row or a function of the product, and puts it back.
"""

import itertools
import uuid
from dataclasses import replace
from unittest import mock

from discovery.errors import RetryableError
from rotator import machine
from rotator.machine import ROWS, Row
from rotator.secrets import Vault
from rotator.steps import Apply, Heal, Stage
from tests.simulation.calls import Door

__all__ = ["MUTATIONS"]


def _rows(**changes):
    """The plan with these rows replaced, by their names (`_` for a blank)."""
    by_name = {name.replace("_", " "): change for name, change in changes.items()}
    assert by_name.keys() <= {row.name for row in ROWS}
    rows = tuple(replace(row, **by_name.get(row.name, {})) for row in ROWS)
    return mock.patch.object(machine, "ROWS", rows)


def promote_before_apply():
    """AWSCURRENT moves as soon as a version is staged."""
    return _rows(promote={"when": lambda seen: machine._live(seen) is not None})


def set_a_single_password():
    """[pending] instead of [current, pending]: the old password ends while proxies still use it."""
    return _rows(apply={"then": lambda seen: Apply((machine._pending(seen),))})


def promote_without_comparing():
    """AWSCURRENT is taken from whichever version holds it when the call is made."""

    async def promote(self, secret, version, _current):
        described = await self._session.call("secretsmanager", "describe_secret", SecretId=secret.arn)
        stages = described["VersionIdsToStages"]
        holder = next(version_id for version_id, labels in stages.items() if "AWSCURRENT" in labels)
        await self._session.mutate(
            "secretsmanager",
            "update_secret_version_stage",
            SecretId=secret.arn,
            VersionStage="AWSCURRENT",
            MoveToVersionId=version.id,
            RemoveFromVersionId=holder,
        )

    return mock.patch.object(Vault, "promote", promote)


def token_from_a_clock():
    """Each writer makes a version id of its own."""
    numbers = itertools.count(1)

    def stage(seen):
        step = machine._stage(seen)
        return replace(step, token=str(uuid.UUID(int=next(numbers))))

    return _rows(stage={"then": stage})


def replace_a_live_pending_version():
    """A pending version whose password is rejected is staged over instead of being applied (again)."""

    def stage(seen):
        secret = seen.secret
        return Stage(machine.version_token(secret), secret.current.id, retire=False)

    again = Row("apply", lambda seen: machine._not_applied(seen) and seen.apply_not_before is not None, stage)
    rows = list(ROWS)
    rows.insert([row.name for row in rows].index("unacknowledged"), again)
    return mock.patch.object(machine, "ROWS", tuple(rows))


def heal_with_a_retired_password():
    """[previous, current] even where the previous one was retired."""

    def heal(seen):
        previous = seen.secret.previous
        if machine._live(seen) is None and previous is not None and previous.password is not None:
            return Heal((previous, machine._current(seen)))
        return machine._heal(seen)

    return _rows(heal={"then": heal})


def retry_changes_blindly():
    """botocore's own retries: a change without an answer is sent again as it is, after a while."""
    once = Door.mutate

    async def mutate(self, service, operation, **parameters):
        for _ in range(4):
            try:
                return await once(self, service, operation, **parameters)
            except RetryableError as error:
                if error.code not in {"EndpointConnectionError", "ThrottlingException"}:
                    raise
        return await once(self, service, operation, **parameters)

    return mock.patch.object(Door, "mutate", mutate)


MUTATIONS = (
    promote_before_apply,
    set_a_single_password,
    promote_without_comparing,
    token_from_a_clock,
    replace_a_live_pending_version,
    heal_with_a_retired_password,
    retry_changes_blindly,
)
