"""botocore's errors to ours (pure): whether to try again is a type, and the message says what failed and what to do."""

import re

import botocore.exceptions

from discovery.errors import (
    AccessDeniedError,
    AwsError,
    ConflictError,
    CredentialsError,
    NotFoundError,
    PermanentError,
    RetryableError,
    ThrottledError,
)
from discovery.model import Place, Role

__all__ = ["BOTOCORE_ERRORS", "action_name", "is_throttle", "translate", "translate_assume_role"]

BOTOCORE_ERRORS = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)
"""Everything that botocore raises on purpose."""

_THROTTLES = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
}
_DENIALS = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
_BAD_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_NOT_FOUND = {
    "ResourceNotFoundException",
    "UserNotFound",
    "UserNotFoundFault",
    "UserGroupNotFound",
    "UserGroupNotFoundFault",
    "ReplicationGroupNotFoundFault",
    "ACLNotFoundFault",
    "ClusterNotFoundFault",
    "ServerlessCacheNotFoundFault",
}
_CONFLICTS = {"ResourceExistsException", "InvalidUserState", "InvalidUserStateFault"}
_IAM_NAMES = {"resourcegroupstaggingapi": "tag"}
"""Services whose actions IAM calls by another name than boto3."""

_KMS = "kms:Decrypt and kms:GenerateDataKey"
_ACTION = re.compile(r"not authorized to perform:? ([a-z-]+:\w+)(?: on resource:? (\S+))?")
# AWS's own words, from "Troubleshoot access denied error messages" of the IAM user guide.
_EXPLICIT = re.compile(r"with an explicit deny in (an? [\w -]+)")
_UNALLOWED = re.compile(r"because no ([\w -]+) allows")
_IDENTITY_POLICY = "identity-based policy"
_ASSUME_ROLE = "sts:AssumeRole"
_CALLER = re.compile(r"User: (\S+) is not authorized")


def action_name(service: str, operation: str) -> str:
    """IAM's name of an operation: boto3's `secretsmanager` and `put_secret_value` → `secretsmanager:PutSecretValue`."""
    words = operation.split("_")
    return f"{_IAM_NAMES.get(service, service)}:{''.join(word.capitalize() for word in words)}"


def translate(
    error: Exception,
    *,
    action: str,
    place: Place | None = None,
    role: Role | None = None,
    resource: str | None = None,
) -> AwsError:
    """The error of ours that stands for one of botocore's.

    Args:
        error: what botocore raised.
        action: what was asked for, by IAM's name, such as `secretsmanager:PutSecretValue`.
        place: where.
        role: as whom; None: as Valkeeper itself.
        resource: what the call was about, as a policy names it; said where AWS does not tell.
    """
    where = f" in {place}" if place else ""
    if isinstance(error, botocore.exceptions.ClientError):
        return _translate_answer(error, action, where, role, resource)
    name = type(error).__name__
    if isinstance(
        error, botocore.exceptions.NoCredentialsError | botocore.exceptions.PartialCredentialsError
    ):
        return CredentialsError(
            "no AWS credentials found: give this machine an instance profile, or set AWS_PROFILE or AWS_ACCESS_KEY_ID"
            " and AWS_SECRET_ACCESS_KEY",
            operation=action,
            code=name,
        )
    if isinstance(
        error, botocore.exceptions.CredentialRetrievalError | botocore.exceptions.TokenRetrievalError
    ):
        return CredentialsError(f"AWS credentials could not be read: {error}", operation=action, code=name)
    if isinstance(error, botocore.exceptions.ParamValidationError):
        return PermanentError(
            f"{action}{where} was not sent: its parameters are not valid", operation=action, code=name
        )
    # What is left of botocore's errors is about reaching AWS: no connection, no answer, a broken one.
    return RetryableError(f"{action}{where} got no answer: {error}", operation=action, code=name)


def is_throttle(code: str) -> bool:
    """Whether an error code of AWS's asks for fewer calls."""
    return code in _THROTTLES


def translate_assume_role(error: Exception, role: Role) -> AwsError:
    """The error of ours for a role that can't be assumed, whatever call it was needed for.

    STS says `AccessDenied` for a role that does not exist, for a trust policy that leaves the caller out, for a wrong
    ExternalId and for a caller that may not assume it, and does not tell which.
    """
    if isinstance(error, botocore.exceptions.ClientError) and _code(error) in _DENIALS:
        found = _CALLER.search(error.response.get("Error", {}).get("Message", ""))
        caller = found[1] if found else "Valkeeper's own identity"
        external_id = (
            "asks for the ExternalId that external_id says"
            if role.external_id is not None
            else "asks for no ExternalId (external_id is not set)"
        )
        return AccessDeniedError(
            f"the role {role.arn} can't be assumed: check that it exists, that its trust policy allows {caller} and"
            f" {external_id}, and that the policy of {caller} allows {_ASSUME_ROLE} on it",
            operation=_ASSUME_ROLE,
            code=_code(error),
        )
    ours = translate(error, action=_ASSUME_ROLE)
    return type(ours)(
        f"the role {role.arn} can't be assumed: {ours}", operation=ours.operation, code=ours.code
    )


def _translate_answer(
    error: botocore.exceptions.ClientError, action: str, where: str, role: Role | None, resource: str | None
) -> AwsError:
    code = _code(error)
    text = error.response.get("Error", {}).get("Message", "") or code
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _THROTTLES:
        return ThrottledError(f"{action}{where} was throttled", operation=action, code=code)
    if code in _DENIALS:
        return _translate_denial(code, text, action, where, role, resource)
    if code in _BAD_CREDENTIALS:
        whose = f"{role.arn}'s" if role is not None else "Valkeeper's"
        return CredentialsError(
            f"AWS refuses {whose} credentials: {text} ({code})", operation=action, code=code
        )
    kind = (
        NotFoundError
        if code in _NOT_FOUND
        else ConflictError
        if code in _CONFLICTS
        else RetryableError
        if status >= 500  # noqa: PLR2004  HTTP's own line between the caller's faults and the server's
        else PermanentError
    )
    return kind(f"{action}{where} failed: {text} ({code})", operation=action, code=code)


def _translate_denial(
    code: str, text: str, action: str, where: str, role: Role | None, resource: str | None
) -> AccessDeniedError:
    found = _ACTION.search(text)
    missing = found[1] if found else action
    told = found[2] if found else None
    if told is None or not (
        told == "*" or told.startswith("arn:")
    ):  # a mere name helps nobody to write a policy
        told = resource if missing == action and resource is not None else told
    if "Access to KMS is not allowed" in text:  # all that Secrets Manager says of it
        missing, told = _KMS, "the secret's KMS key"
    what = f"{missing}{f' on {told}' if told else ''}{where}"
    whose = role.arn if role is not None else "Valkeeper's identity"
    policy = f"the policy of {role.arn}" if role is not None else "Valkeeper's policy"
    explicit, unallowed = _EXPLICIT.search(text), _UNALLOWED.search(text)
    if explicit:
        todo = f"{explicit[0].removeprefix('with ')} forbids it, and has to be taken back"
    elif unallowed and unallowed[1] != _IDENTITY_POLICY:
        todo = f"add it to the {unallowed[1]} of {whose}"
    else:
        todo = f"add it to {policy}"
    return AccessDeniedError(f"IAM does not allow {what}: {todo}", operation=missing, code=code)


def _code(error: botocore.exceptions.ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "Unknown")
