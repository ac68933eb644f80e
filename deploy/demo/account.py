"""The sandbox of the demo: its account, the users in it that nobody may touch, and the time that passes in it."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from deploy.demo.errors import DemoError
from deploy.demo.holdings import set_up
from deploy.demo.service import tail
from deploy.demo.state import State, UserRow
from deploy.demo.verdict import AccountUser
from deploy.sandbox.client import SandboxError, SandboxProcess
from deploy.sandbox.controls import Service

__all__ = ["Ageing", "open_sandbox", "read_unmanaged"]

_MANAGED_TAG = "teleport.dev/managed"
_MORE_THAN_A_DAY = 25 * 3600.0  # seconds


@contextlib.contextmanager
def open_sandbox(log: Path, busy: Callable[[str], AbstractContextManager[None]]) -> Iterator[SandboxProcess]:
    """Start a sandbox on a free port, furnish it, and end it at the end of the block; what it says goes to a log.

    Args:
        log: where.
        busy: says what is under way.

    Raises:
        DemoError: it did not start, or its databases did not come up.
    """
    # Importing it takes a second, in which the sandbox can start as well.
    threading.Thread(target=__import__, args=("boto3",), daemon=True).start()
    try:
        with busy("Starting the sandbox …"), _errors_to(log):
            sandbox = SandboxProcess(empty=True)
    except SandboxError as error:
        raise DemoError(f"the sandbox did not start: {error}", tail(log)) from None
    with sandbox:
        with busy("Creating its databases and users …"):
            set_up(sandbox)
        yield sandbox


def read_unmanaged(sandbox: SandboxProcess) -> dict[str, AccountUser]:
    """Every user that Valkeeper has to leave as it is, by key: those without the tag, and IAM users."""
    secrets = [
        secret["Name"]
        for page in sandbox.boto3("secretsmanager").get_paginator("list_secrets").paginate()
        for secret in page["SecretList"]
    ]
    found = {}
    for service, user, tags in _users(sandbox):
        if user["Authentication"]["Type"] == "iam" or all(tag["Key"] != _MANAGED_TAG for tag in tags):
            # A MemoryDB user's name is its id.
            user_id = user.get("UserId", user.get("Name"))
            key = f"{service}/{sandbox.region}/{sandbox.account}/user/{user_id}"
            found[key] = AccountUser(
                service=service,
                id=user_id,
                authentication=user["Authentication"]["Type"],
                status=user["Status"],
                access=user["AccessString"],
                password_count=user["Authentication"].get("PasswordCount", 0),
                passwords=tuple(sandbox.passwords(user_id, service=service)),
                secrets=tuple(name for name in secrets if name.endswith(key)),
            )
    return found


def _users(sandbox: SandboxProcess) -> Iterator[tuple[Service, dict[str, Any], list[dict[str, str]]]]:
    """Each user of both services as it is described, with its tags."""
    elasticache, memorydb = sandbox.boto3("elasticache"), sandbox.boto3("memorydb")
    for page in elasticache.get_paginator("describe_users").paginate():
        for user in page["Users"]:
            tags = elasticache.list_tags_for_resource(ResourceName=user["ARN"])["TagList"]
            yield "elasticache", user, tags
    for page in memorydb.get_paginator("describe_users").paginate():
        for user in page["Users"]:
            yield "memorydb", user, memorydb.list_tags(ResourceArn=user["ARN"])["TagList"]


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
