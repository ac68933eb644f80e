"""The STS calls of a caller with keys of its own; the others are not known here."""

from datetime import UTC, datetime

from moto.core.responses import ActionResult, BaseResponse
from moto.sts.models import sts_backends

from deploy.sandbox.keys import AccessKey
from deploy.sandbox.sts.backend import SecurityTokens

__all__ = ["SecurityTokenResponse"]


class SecurityTokenResponse(BaseResponse):
    """One method per operation, found by moto by its name."""

    def __init__(self) -> None:
        super().__init__(service_name="sts")
        self.automated_parameter_parsing = True

    @property
    def _backend(self) -> SecurityTokens:
        return sts_backends[self.current_account][self.partition]  # type: ignore[return-value]

    @property
    def _caller(self) -> AccessKey:
        return self._backend.caller(self.access_key)

    def get_caller_identity(self) -> ActionResult:  # noqa: D102
        caller = self._caller
        return ActionResult({"UserId": caller.user_id, "Account": caller.account, "Arn": caller.arn})

    def assume_role(self) -> ActionResult:  # noqa: D102
        session = self._backend.open_session(self._caller, self.params, datetime.now(UTC))
        key = session.key
        return ActionResult(
            {
                "Credentials": {
                    "AccessKeyId": key.id,
                    "SecretAccessKey": key.secret,
                    "SessionToken": key.session_token,
                    "Expiration": session.expiration,
                },
                "AssumedRoleUser": {"AssumedRoleId": key.user_id, "Arn": key.arn},
                "PackedPolicySize": 0,
            }
        )
