"""The database's end: dial, verified TLS, and AUTH. Knows no clients and no directory."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from pydantic import SecretStr

from discovery import model
from proxy.directory import Tls
from proxy.errors import ProtocolError, UnreachableError
from proxy.keepalive import keep_transport_alive
from proxy.lookup import Address, addresses
from proxy.resp import encode, reply_end
from proxy.room import Receiver
from proxy.tls import Context, keep_session, tls_context

__all__ = [
    "MAX_LOGIN_REPLY",
    "LoginOutcome",
    "LoginResult",
    "Upstream",
    "dial",
    "is_rejection",
    "login",
]

MAX_LOGIN_REPLY = 256 * 1024
"""Most bytes of an answer to a login: a HELLO lists the server's modules."""

_HUNG_UP = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, EOFError)


class LoginOutcome(StrEnum):
    """What a try to log in proved."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"  # a server answered that the password is wrong or the user is off
    UNREACHABLE = "unreachable"  # anything else: it proves nothing about the password


@dataclass(frozen=True, slots=True)
class LoginResult:
    """How a login went, and why; the reason never holds a secret."""

    outcome: LoginOutcome
    reason: str = ""


async def login(
    host: str,
    port: int,
    tls: Tls | model.Tls,
    username: str,
    password: SecretStr,
    *,
    timeout: float,  # noqa: ASYNC109 -- one deadline for dial, TLS and AUTH is the point
    ca_file: str | None = None,
) -> LoginResult:
    """Try a password on one server, and hang up.

    Args:
        host: name or address of the server.
        port: its port.
        tls: how its certificate is checked.
        username: who logs in.
        password: the password or token to try.
        timeout: seconds for dial, TLS and AUTH together.
        ca_file: trusted certificates where `tls` names none; None: the system's.

    Returns:
        Accepted or rejected where the server answered AUTH; unreachable for everything else. Never raises for what
        the network or the server does.
    """
    upstream = None
    try:
        async with asyncio.timeout(timeout):
            upstream = await dial(host, port, tls, ca_file=ca_file)
            reply = await upstream.ask(
                encode((b"AUTH", username.encode(), password.get_secret_value().encode()))
            )
    except TimeoutError:
        return LoginResult(LoginOutcome.UNREACHABLE, f"no answer within {timeout:g} s")
    except UnreachableError as error:
        return LoginResult(LoginOutcome.UNREACHABLE, str(error))
    finally:
        if upstream is not None:
            upstream.close()
    text = reply[1:].decode("utf-8", "replace").strip()
    if reply.startswith(b"+"):
        return LoginResult(LoginOutcome.ACCEPTED)
    if is_rejection(reply):
        return LoginResult(LoginOutcome.REJECTED, text)
    return LoginResult(LoginOutcome.UNREACHABLE, text)


def is_rejection(reply: bytes) -> bool:
    """True where an answer to AUTH or HELLO AUTH says that the password is wrong or the user is off.

    Both are WRONGPASS since Redis 6 (`addAuthErrReply` in acl.c).
    """
    return reply.startswith(b"-WRONGPASS")


async def dial(
    host: str,
    port: int,
    tls: Tls | model.Tls,
    *,
    ca_file: str | None = None,
    first: Callable[[], bytes] = bytes,
) -> "Upstream":
    """Connect and check the certificate. The caller bounds the time.

    Args:
        host: name or address of the server.
        port: its port.
        tls: how its certificate is checked.
        ca_file: trusted certificates where `tls` names none; None: the system's.
        first: gives a command once the certificate is found good, or none. It travels with the end of the handshake, which
            saves a packet, and the database one awakening; `Upstream.answer` gives its reply.

    Raises:
        UnreachableError: with a short cause as its message, such as `connection refused`.
    """
    started = time.perf_counter()
    try:
        context = tls_context(tls.mode, tls.ca_file or ca_file)
        upstream = await _reach(await addresses(host, port), context, tls.server_name or host, first)
    except socket.gaierror as error:
        raise UnreachableError(f"its name does not resolve: {error.strerror}", reason="dns") from error
    except ConnectionRefusedError as error:
        raise UnreachableError("connection refused", reason="refused") from error
    except ssl.SSLCertVerificationError as error:
        raise UnreachableError(
            f"its certificate is not trusted: {error.verify_message}", reason="certificate"
        ) from error
    except ssl.SSLError as error:
        raise UnreachableError(f"TLS failed: {error.reason}", reason="tls") from error
    except _HUNG_UP as error:
        raise UnreachableError("it hung up during the TLS handshake", reason="tls") from error
    except OSError as error:
        raise UnreachableError(error.strerror or str(error), reason="network") from error
    dialled = upstream.transport.get_extra_info("ssl_object").began
    upstream.stages = {"dial": dialled - started, "tls": time.perf_counter() - dialled}
    return upstream


async def _reach(
    found: Sequence[Address], context: Context, name: str, first: Callable[[], bytes]
) -> "Upstream":
    """A connection to the first of a host's addresses that takes it. Raises OSError."""
    loop = asyncio.get_running_loop()
    refusal = OSError("its name has no address")
    for family, _, _, _, (address, port, *_) in found:
        try:
            _, upstream = await loop.create_connection(
                lambda: Upstream(first), address, port, family=family, ssl=context, server_hostname=name
            )
        except (ssl.SSLError, *_HUNG_UP):  # there it is
            raise
        except OSError as error:
            refusal = error
        else:
            return upstream
    raise refusal


class Upstream(Receiver):
    """A connection to a database while questions are asked one at a time; a relay takes its transport over.

    Args:
        first: gives what is sent at once.

    Attributes:
        stages: how many seconds it took to be made: `dial` and `tls`; and `auth`, where somebody logged in.
    """

    transport: asyncio.Transport
    stages: dict[str, float]

    def __init__(self, first: Callable[[], bytes]) -> None:
        self.closed = False
        self._first = first
        self._data = b""
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and begin. By the time that whoever dialled hears of it, it may be gone again."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        keep_transport_alive(transport)
        if command := self._first():
            self.transport.write(command)
        del self._first

    def data_received(self, data: bytes) -> None:
        """Collect the answer."""
        self._data += data
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- the protocol's signature
        """Let whoever waits know."""
        self.closed = True
        self._wake()

    async def ask(self, command: bytes, *, most: int = MAX_LOGIN_REPLY) -> bytes:
        """Send one command and give its whole reply, byte for byte, if that has at most so many bytes.

        Raises:
            UnreachableError: the connection ended, or what came is no reply.
        """
        self.transport.write(command)
        return await self.answer(most=most)

    async def answer(self, *, most: int = MAX_LOGIN_REPLY) -> bytes:
        """The whole reply to what was sent, byte for byte. Raises as `ask`."""
        while True:
            try:
                end = reply_end(self._data)
            except ProtocolError as error:
                raise UnreachableError("it does not speak RESP", reason="protocol") from error
            if end is not None:
                reply, self._data = self._data[:end], self._data[end:]
                keep_session(self.transport.get_extra_info("ssl_object"))
                return reply
            if self.closed:
                raise UnreachableError("it hung up before it answered", reason="closed")
            if len(self._data) > most:
                raise UnreachableError("its answer has no end", reason="protocol")
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def early(self) -> bytes:
        """What arrived beyond the last reply; asked once, by the relay that takes over."""
        data, self._data = self._data, b""
        return data

    def close(self) -> None:
        """Hang up without waiting."""
        if not self.transport.is_closing():
            self.transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
