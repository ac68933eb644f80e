"""What can go wrong in the rotator beyond AWS itself (`discovery.errors`)."""

__all__ = [
    "NotFoundError",
    "NotRunningError",
    "RefusedError",
    "RotatorError",
    "UnknownUserError",
    "UsageError",
]


class RotatorError(Exception):
    """The root of this package's errors."""


class UsageError(RotatorError):
    """A request or a setting that cannot be meant: the message says what is allowed."""


class UnknownUserError(UsageError):
    """A user that no known database has."""


class NotRunningError(RotatorError):
    """Nobody answers on the control socket."""


class RefusedError(RotatorError):
    """The service answered that the request can't be meant."""


class NotFoundError(RefusedError):
    """The service answered that there is no such thing."""
