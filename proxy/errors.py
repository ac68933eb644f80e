"""What goes wrong in the data plane: what the client is told, and what stops the proxy itself.

A `ClientError` is a Redis error: a prefix that clients know, what failed, for which database or user, and what to
do. `reason` is the word under which it is counted.
"""

__all__ = [
    "AlreadyRunningError",
    "CertificateError",
    "ChannelError",
    "ClientError",
    "CrowdedError",
    "EndlessLineError",
    "HandoverError",
    "HungUpError",
    "LimitError",
    "ListenError",
    "LostError",
    "NoCredentialError",
    "ProtocolError",
    "ProxyError",
    "RefusedError",
    "RejectedError",
    "StormError",
    "UnfollowedError",
    "UnreachableError",
    "error_reply",
]


def error_reply(prefix: str, message: str) -> bytes:
    """One RESP error. Line breaks in the message would end it early, so they become spaces."""
    line = " ".join(f"{prefix} {message}".split())
    return b"-" + line.encode("utf-8", "surrogateescape") + b"\r\n"


class ProxyError(Exception):
    """The root of this package's errors."""


class AlreadyRunningError(ProxyError):
    """Another proxy serves the same runtime folder."""


class HandoverError(ProxyError):
    """A running proxy can't be replaced by this program; it can be stopped, and this one started."""


class ListenError(ProxyError):
    """An address that the configuration asks for cannot be listened on."""


class CertificateError(ListenError):
    """The certificate of a TLS listener, or its key, cannot be used."""


class ChannelError(ProxyError):
    """The other end of a control socket is not who, or does not say what, it should."""


class ProtocolError(ProxyError):
    """Bytes that are not RESP. The message is the one of Redis 7, without `Protocol error: `."""

    @property
    def reply(self) -> bytes:
        """The reply after which Redis closes the connection."""
        return error_reply("ERR", f"Protocol error: {self}")


class LimitError(ProtocolError):
    """A command with more arguments, or a longer one, than was asked for."""


class ClientError(ProxyError):
    """A reason to turn a client away.

    Attributes:
        prefix: Redis's error code, such as `NOPERM`.
        reason: the word it is counted and logged under.
    """

    prefix = "ERR"

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def reply(self) -> bytes:
        """The error as the client reads it."""
        return error_reply(self.prefix, f"valkeeper: {self}")


class UnfollowedError(ClientError):
    """The client has sent what the database may read otherwise than Valkeeper, so that a login could pass unseen."""


class EndlessLineError(UnfollowedError):
    """An inline command of more than 64 KiB. The message is for the log."""

    def __init__(self) -> None:
        super().__init__("an inline command of more than 64 KiB", reason="protocol_error")

    @property
    def reply(self) -> bytes:
        """The words of Redis itself (`processInlineBuffer` in networking.c)."""
        return ProtocolError("too big inline request").reply


class UnreachableError(ClientError):
    """The database gave no answer to AUTH: not found, refused, timed out, not trusted, or cut off."""


class HungUpError(ClientError):
    """The database hung up on a connection that sessions share, which go on over another one."""

    def __init__(self, database: str) -> None:
        super().__init__(
            f"database '{database}' hung up before it answered; whether it did what it was asked for is not known",
            reason="database_lost",
        )


class LostError(ClientError):
    """The database hung up on an open session."""

    def __init__(self, database: str) -> None:
        super().__init__(
            f"database '{database}' hung up before it answered; whether it did what it was asked for is not known; "
            "connect again",
            reason="database_lost",
        )


class RejectedError(ClientError):
    """The database refused every password that Valkeeper holds for the user."""

    prefix = "WRONGPASS"


class RefusedError(ClientError):
    """The caller may not use the database as that user."""

    prefix = "NOPERM"


class CrowdedError(ClientError):
    """There are as many connections as there may be. The message is for the log."""

    @property
    def reply(self) -> bytes:
        """The words of Redis itself, by which clients know it (`acceptCommonHandler` in networking.c)."""
        return error_reply("ERR", "max number of clients reached")


class StormError(ClientError):
    """More clients connect at once than a database is to be burdened with."""


class NoCredentialError(ClientError):
    """The client has to say more before anything can be done for it."""

    prefix = "NOAUTH"
