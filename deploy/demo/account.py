"""The sandbox of the demo: its account, what untagged users look like in it, and the time that passes in it."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from deploy.demo.errors import DemoError
from deploy.demo.service import tail
from deploy.demo.state import State, UserRow
from deploy.demo.verdict import Untagged
from deploy.sandbox.client import SandboxError, SandboxProcess

__all__ = ["Ageing", "open_sandbox", "read_untagged"]

_MANAGED_TAG = "teleport.dev/managed"
_MORE_THAN_A_DAY = 25 * 3600.0  # seconds


@contextlib.contextmanager
def open_sandbox(log: Path, busy: Callable[[str], AbstractContextManager[None]]) -> Iterator[SandboxProcess]:
    """Start a sandbox on a free port, and end it at the end of the block; what it says goes to a log.

    Args:
        log: where.
        busy: says what is under way.

    Raises:
        DemoError: it did not start.
    """
    # Importing it takes a second, in which the sandbox can start as well.
    threading.Thread(target=__import__, args=("boto3",), daemon=True).start()
    try:
        with busy("Starting the sandbox …"), _errors_to(log):
            sandbox = SandboxProcess()
    except SandboxError as error:
        raise DemoError(f"the sandbox did not start: {error}", tail(log)) from None
    with sandbox:
        yield sandbox


def read_untagged(sandbox: SandboxProcess) -> dict[str, Untagged]:
    """Every user without the tag, by key, as it stands in the account now."""
    elasticache, vault = sandbox.boto3("elasticache"), sandbox.boto3("secretsmanager")
    secrets = [
        secret["Name"]
        for page in vault.get_paginator("list_secrets").paginate()
        for secret in page["SecretList"]
    ]
    found = {}
    for page in elasticache.get_paginator("describe_users").paginate():
        for user in page["Users"]:
            tags = elasticache.list_tags_for_resource(ResourceName=user["ARN"])["TagList"]
            if not any(tag["Key"] == _MANAGED_TAG for tag in tags):
                key = f"elasticache/{sandbox.region}/{sandbox.account}/user/{user['UserId']}"
                found[key] = _untagged(sandbox, user, secrets)
    return found


def _untagged(sandbox: SandboxProcess, user: dict[str, Any], secrets: list[str]) -> Untagged:
    return Untagged(
        id=user["UserId"],
        status=user["Status"],
        access=user["AccessString"],
        password_count=user["Authentication"].get("PasswordCount", 0),
        passwords=tuple(sandbox.passwords(user["UserId"])),
        secrets=tuple(name for name in secrets if name.endswith(f"/user/{user['UserId']}")),
    )


class Ageing:
    """Lets a day pass for a secret, before the demo has filled it.

    Secrets Manager keeps every version of the last 24 hours and about 100 in all. A rotation every 15 minutes stays
    below that; one every 15 seconds meets it after 25 minutes, and PutSecretValue fails from then on. So after each
    60 rotations the sandbox makes the versions a day older, and AWS's own pruning has something to prune. It is done
    when a rotation is due anyway, so that AWSCURRENT's new age changes nothing but the number on the screen, for
    a moment.
    """

    AFTER = 60
    _DUE_WITHIN = 1.0  # seconds

    def __init__(self, sandbox: SandboxProcess) -> None:
        self._sandbox = sandbox
        self._aged_at: dict[str, int] = {}

    def look(self, state: State) -> None:
        """Let the day pass for the secrets that need it."""
        for user in state.users:
            rotated = len(state.story(user.key).rotated_at)
            if rotated - self._aged_at.get(user.key, 0) >= self.AFTER and self._is_due(user):
                self._aged_at[user.key] = rotated
                # A secret that somebody has just deleted by hand is no longer ours to age.
                with contextlib.suppress(SandboxError):
                    self._sandbox.age_secret(f"valkeeper/{user.key}", _MORE_THAN_A_DAY)

    def _is_due(self, user: UserRow) -> bool:
        return user.care == "managed" and user.due_in is not None and user.due_in <= self._DUE_WITHIN


@contextlib.contextmanager
def _errors_to(log: Path) -> Iterator[None]:
    """Let child processes started here inherit a log as their standard error: they would write into the screen."""
    sys.stderr.flush()
    ours = os.dup(2)
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)
