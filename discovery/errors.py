"""Everything that can go wrong while reading or changing AWS, translated once, in `discovery.aws`.

Whether trying again can help is a type: `RetryableError` or `PermanentError`. `ConflictError` is neither a failure
nor a success: somebody else was there first, so look again.
"""

__all__ = [
    "AccessDeniedError",
    "AwsError",
    "ConfigurationError",
    "ConflictError",
    "CredentialsError",
    "DiscoveryError",
    "NotFoundError",
    "PermanentError",
    "RetryableError",
    "ThrottledError",
]


class DiscoveryError(Exception):
    """The root of this package's errors."""


class ConfigurationError(DiscoveryError):
    """What the configuration says cannot be: the message names the key and what is allowed."""


class AwsError(DiscoveryError):
    """An AWS call that did not succeed.

    Attributes:
        operation: IAM's name of the action, such as `secretsmanager:PutSecretValue`.
        code: AWS's error code, or the name of the failure where no answer came.
    """

    def __init__(self, message: str, *, operation: str, code: str) -> None:
        super().__init__(message)
        self.operation = operation
        self.code = code


class RetryableError(AwsError):
    """No answer, a server error, or a state that passes: try again later."""


class ThrottledError(RetryableError):
    """AWS asks for fewer requests."""


class ConflictError(RetryableError):
    """The resource is not in the state that the call expected: observe again."""


class PermanentError(AwsError):
    """Trying again changes nothing until somebody changes something."""


class AccessDeniedError(PermanentError):
    """IAM says no: the message names the missing action and the resource: AWS's words, else what was asked for."""


class CredentialsError(PermanentError):
    """Valkeeper itself has no usable AWS credentials."""


class NotFoundError(PermanentError):
    """The named thing does not exist."""
