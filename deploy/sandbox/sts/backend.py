"""STS as AWS has it: who is let into which role, and for how long."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from moto.iam.models import iam_backends
from moto.sts.models import STSBackend
from moto.sts.utils import random_session_token

from deploy.sandbox.keys import AccessKey
from deploy.sandbox.refusals import RefusedError
from deploy.sandbox.sts.trust import Caller, trusts
from deploy.sandbox.world import World

__all__ = ["RoleSession", "SecurityTokens"]

_PARTITION = "aws"
_ROLE = re.compile(r"arn:aws:iam::(\d{12}):role/(?:.*/)?([\w+=,.@-]{1,64})")
_SESSION = re.compile(r"arn:aws:sts::\d{12}:assumed-role/([^/]+)/.+")
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}")
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}")
_SHORTEST, _LONGEST, _BY_DEFAULT = 900, 43200, 3600
_LONGEST_CHAINED = 3600


@dataclass(frozen=True, slots=True)
class RoleSession:
    """What AssumeRole gives."""

    key: AccessKey
    expiration: datetime


class SecurityTokens(STSBackend):
    """Sessions, which it puts on the sandbox's key ring; callers are the ring's, already checked."""

    world: ClassVar[World]

    @property
    def _url_module(self) -> Any:
        from deploy.sandbox.sts import urls  # noqa: PLC0415 - urls needs this module first

        return urls

    def caller(self, access_key_id: str) -> AccessKey:
        """Return the key of a caller."""
        key = self.world.keys.find(access_key_id)
        if key is None:
            raise RefusedError(
                "InvalidClientTokenId", "The security token included in the request is invalid.", 403
            )
        return key

    def open_session(self, caller: AccessKey, params: Mapping[str, Any], now: datetime) -> RoleSession:
        """AssumeRole, with its parameters by the API's names.

        Raises:
            RefusedError: AWS would refuse this.
        """
        found = _ROLE.fullmatch(params["RoleArn"])
        if found is None:
            raise RefusedError("ValidationError", f"{params['RoleArn']} is invalid")
        account, role_name = found[1], found[2]
        name, external_id = params["RoleSessionName"], params.get("ExternalId")
        _check_pattern("roleSessionName", name, _SESSION_NAME)
        if external_id is not None:
            _check_pattern("externalId", external_id, _EXTERNAL_ID)
        seconds = _duration(params)
        role = self._trusting_role(caller, params["RoleArn"], name, external_id)
        if caller.session_token is not None and seconds > _LONGEST_CHAINED:
            raise RefusedError(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
            )
        if seconds > int(role.max_session_duration or _BY_DEFAULT):
            raise RefusedError(
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            )
        if self.world.session_lifetime is not None:
            seconds = self.world.session_lifetime
        expiration = now + timedelta(seconds=seconds)
        held = iam_backends[account][_PARTITION].create_temp_access_key()
        held.role_arn = role.arn
        key = AccessKey(
            held.access_key_id,
            held.secret_access_key,
            account,
            f"arn:aws:sts::{account}:assumed-role/{role_name}/{name}",
            session_token=random_session_token(),
            expires_at=expiration.timestamp(),
            user_id=f"{role.id}:{name}",
        )
        self.world.keys.add(key)
        return RoleSession(key, expiration)

    def _trusting_role(
        self, caller: AccessKey, role_arn: str, session_name: str, external_id: str | None
    ) -> Any:
        context = {
            "aws:principalaccount": caller.account,
            "aws:principalarn": caller.arn,
            "sts:rolesessionname": session_name,
        }
        arns = {caller.arn}
        if own_role := _role_of(caller):
            arns.add(own_role.arn)
            # What AWS takes for the principal of a session is its role.
            context["aws:principalarn"] = own_role.arn
        if external_id is not None:
            context["sts:externalid"] = external_id
        role = _find_role(role_arn)
        who = Caller(caller.account, frozenset(arns), context)
        # AWS does not tell a role that does not exist from one that trusts somebody else.
        if role is None or not trusts(role.assume_role_policy_document, who):
            raise RefusedError(
                "AccessDenied",
                f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
                403,
            )
        return role


def _find_role(arn: str) -> Any:
    account = arn.split(":")[4]
    roles = iam_backends[account][_PARTITION].get_roles()
    return next((role for role in roles if role.arn == arn), None)


def _role_of(caller: AccessKey) -> Any:
    found = _SESSION.fullmatch(caller.arn)
    roles = iam_backends[caller.account][_PARTITION].get_roles() if found else ()
    return next((role for role in roles if found and role.name == found[1]), None)


def _duration(params: Mapping[str, Any]) -> float:
    seconds = params.get("DurationSeconds") or _BY_DEFAULT
    if not _SHORTEST <= seconds <= _LONGEST:
        bound = f"less than or equal to {_LONGEST}" if seconds > _LONGEST else ""
        bound = bound or f"greater than or equal to {_SHORTEST}"
        raise RefusedError(
            "ValidationError",
            f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy constraint: "
            f"Member must have value {bound}",
        )
    return float(seconds)


def _check_pattern(parameter: str, value: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(value):
        raise RefusedError(
            "ValidationError",
            f"1 validation error detected: Value '{value}' at '{parameter}' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {pattern.pattern}",
        )
