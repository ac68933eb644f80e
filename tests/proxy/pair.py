"""A server and something before it: the same bytes to both, and what comes back from each."""

import contextlib
import re
import socket
import ssl

from tests.proxy.dialogues import LOGIN, c

__all__ = ["Pair", "conversation"]

_PATIENCE = 5.0
_AT_ONCE = 16 * 1024  # bytes that Redis reads from a connection before it looks at the next
# The end of a dialogue. Whoever is not logged in by then gets NOAUTH to the first, and this error to the second.
_LAST = c("ECHO", "the-last-of-it") + c("HELLO", "x")
_ENDS = re.compile(rb"(.*?(?:the-last-of-it\r\n|-ERR Protocol version is not an integer[^\n]*\n))", re.DOTALL)
# What differs from one connection to the next, to the same server.
_VARYING = (
    (re.compile(rb"(\$2\r\nid\r\n):\d+"), rb"\1:ID"),
    (re.compile(rb"\+\d+\.\d+ \[0 \S+\]"), b"+TIME [0 ADDRESS]"),
)


class Pair:
    """A server, what stands before it, and `admin`, a connection to clear the server by.

    Args:
        server: the server.
        connect: gives a connection to what stands before it, which lets `app` in with the password `x`.
        admin: a client of the server's.
    """

    def __init__(self, server, connect, admin):
        self._server = server
        self._connect = connect
        self.admin = admin

    def direct(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(_PATIENCE)
        sock.connect(str(self._server.path))
        return sock

    def through(self):
        """A connection by way of what stands before it."""
        return self._connect()

    def answered(self, data):
        """What the server itself says to `app` as far as it will, and whether it then hangs up."""
        answers = b""
        with self.direct() as sock:
            sock.sendall(c("AUTH", "app", "app-current"))
            assert sock.recv(100) == b"+OK\r\n"
            sock.sendall(data)
            # Redis has one thread: once it has answered those who spoke later, it has read this as far as it will.
            for _ in range(2 + len(data) // _AT_ONCE):
                self.admin.ping()
            sock.setblocking(False)
            try:
                while part := sock.recv(65536):
                    answers += part
            except BlockingIOError:
                return answers, False
            except ConnectionResetError:
                pass
        return answers, True

    def answers(self, parts, pieces=1 << 20):
        """What comes back to each of the two."""
        self.admin.flushall()
        first = conversation(self.direct(), parts, "app-current", pieces)
        self.admin.flushall()
        return first, conversation(self._connect(), parts, "x", pieces)


def conversation(sock, parts, password, pieces):
    """What comes back until the connection ends, or until the dialogue does."""
    answers = b""
    with sock:
        if parts[0] is LOGIN:  # Redis drops the answer if it ends the connection at once
            sock.sendall(c("AUTH", "app", password))
            answers = sock.recv(100)
            parts = parts[1:]
        sent = b"".join(c("AUTH", "app", password) if part is LOGIN else part for part in parts) + _LAST
        # Whoever is hung up on while he still speaks may have been told why.
        with contextlib.suppress(ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            for at in range(0, len(sent), pieces):
                sock.sendall(sent[at : at + pieces])
        try:
            while not (end := _ENDS.match(answers)):
                data = sock.recv(65536)
                if not data:
                    return _steady(answers + b"<end>")
                answers += data
        except (ConnectionResetError, ssl.SSLEOFError):
            return _steady(answers + b"<end>")
        except TimeoutError:
            return _steady(answers + b"<silence>")
    return _steady(end[1])


def _steady(answers):
    for pattern, same in _VARYING:
        answers = pattern.sub(same, answers)
    return answers
