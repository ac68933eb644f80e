"""The crash matrix: which call of a rotation or an adoption a rotator is killed at, and what becomes of that call."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

__all__ = ["CALLS", "Cell", "Fate", "Scenario", "Successor", "cells_at"]


class Scenario(StrEnum):
    """What the rotator was doing."""

    ROTATION = "rotation"  # of a user whose password is due
    ADOPTION = "adoption"  # of a user that has just been tagged


class Fate(StrEnum):
    """What becomes of the call at which the rotator is killed."""

    NEVER = "never happens"  # it was lost on its way
    LATE = "happens after the kill"  # it was in the air
    BEFORE = "had happened"  # its answer was lost


class Successor(StrEnum):
    """Who goes on."""

    SAME = "restart"  # the same instance, which finds its proxy alive
    OTHER = "another instance"  # with a proxy of its own


@dataclass(frozen=True, slots=True)
class Cell:
    """One kill: at the `occurrence`-th call of an operation, counted from 1."""

    scenario: Scenario
    operation: str
    occurrence: int
    fate: Fate
    successor: Successor

    @property
    def service(self) -> str:
        """The service whose operation it is, as boto3 calls it."""
        return CALLS[self.operation].service

    @property
    def next(self) -> "Cell":
        """The same at the operation's next call."""
        return replace(self, occurrence=self.occurrence + 1)

    def __str__(self) -> str:
        """The cell in a line."""
        return f"{self.scenario}: {self.operation} {self.occurrence} {self.fate}, {self.successor}"


@dataclass(frozen=True, slots=True)
class Call:
    """One operation: its service, how its body names the user, and whether it changes anything."""

    service: str
    naming: str
    changes: bool = False


CALLS = {
    "DescribeUsers": Call("elasticache", "UserId={}"),
    "DescribeSecret": Call("secretsmanager", '/user/{}"'),
    "GetSecretValue": Call("secretsmanager", "/user/{}-"),
    "ListSecretVersionIds": Call("secretsmanager", "/user/{}-"),
    "CreateSecret": Call("secretsmanager", '/user/{}"', changes=True),
    "PutSecretValue": Call("secretsmanager", "/user/{}-", changes=True),
    "ModifyUser": Call("elasticache", "UserId={}", changes=True),
    "UpdateSecretVersionStage": Call("secretsmanager", "/user/{}-", changes=True),
}
"""Every call that a rotation or an adoption makes for one user."""


def cells_at(scenario: Scenario, operation: str) -> Iterator[Cell]:
    """The cells of an operation's first call. A read has no effect, so it makes no difference whether it had it."""
    fates = list(Fate) if CALLS[operation].changes else [Fate.NEVER]
    for fate in fates:
        for successor in Successor:
            yield Cell(scenario, operation, 1, fate, successor)
