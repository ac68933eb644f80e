"""TLS listeners of the real proxy, and a client that can do with TLS what sockets can do without."""

import contextlib
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.proxy.proxykit import PATIENCE, free_port

__all__ = ["ANYTHING", "BACKEND", "NAMES", "TlsClient", "TlsDoor", "write_certificate"]

NAMES = ("localhost", "*.valkeeper.internal", "valkeeper.internal")
ANYTHING = {"name": "anything", "databases": ["*"], "db_users": ["*"]}
BACKEND = {"name": "backend", "databases": ["orders"], "db_users": ["app", "legacy"]}


def write_certificate(ca, folder, *names):
    """A certificate of these names, and its key, as files that a listener names."""
    issued = ca.issue_cert(*(names or NAMES))
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    for name, content in (("door.pem", chain), ("door.key", issued.private_key_pem.bytes())):
        # In one go, as whoever renews certificates does it.
        fresh = Path(folder) / f"{name}.new"
        fresh.write_bytes(content)
        fresh.chmod(0o600)
        fresh.rename(Path(folder) / name)


@dataclass
class TlsDoor:
    """A TLS listener, from both sides."""

    folder: Path
    ca_file: Path
    role: str = "anything"
    port: int = field(default_factory=free_port)

    def listener(self, **more):
        """As the configuration names it."""
        return {
            "tls": f"127.0.0.1:{self.port}",
            "cert_file": str(self.folder / "door.pem"),
            "key_file": str(self.folder / "door.key"),
            "role": self.role,
        } | more

    def plain(self, source="127.0.0.1"):
        """A connection that has not begun to speak TLS."""
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE, (source, 0))

    def socket(self, name="orders", *, source="127.0.0.1", **options):
        """A connection to a database, named by SNI; "": by none."""
        server_name = f"{name}.valkeeper.internal" if name else None
        return TlsClient(self.plain(source), self.ca_file, server_name, **options)

    def client(self, **options):
        """A client library's connection, which names the database as it logs in."""
        given = {"username": "app@orders", "password": "x"} | options
        return redis.Redis(
            host="localhost", port=self.port, ssl=True, ssl_ca_certs=str(self.ca_file), **given
        )

    def say(self, data, name="orders", *, eof=True, **options):
        """Send this, and give everything that comes back until the end."""
        with self.socket(name, **options) as sock:
            sock.sendall(data)
            if eof:
                sock.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: sock.recv(65536), b""))


class TlsClient:
    """What tests need of a socket. Python's own cannot end its half and go on reading."""

    def __init__(self, sock, ca_file, name, *, newest=ssl.TLSVersion.MAXIMUM_SUPPORTED):
        context = ssl.create_default_context(cafile=str(ca_file))
        context.maximum_version = newest
        context.check_hostname = name is not None
        self.sock = sock
        self._incoming, self._outgoing, self._unsent = ssl.MemoryBIO(), ssl.MemoryBIO(), b""
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        try:
            self._until_done(self.tls.do_handshake)
        except BaseException:
            sock.close()
            raise

    def _until_done(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self.sock.recv(65536)
                if not data:
                    self._incoming.write_eof()
                self._incoming.write(data)
            finally:
                self._flush()

    def _flush(self):
        if self._outgoing.pending:
            self.sock.sendall(self._outgoing.read())

    def sendall(self, data):
        rest = memoryview(data)
        while rest:
            rest = rest[self.tls.write(rest) :]
            self._flush()

    def setblocking(self, flag):
        self.sock.setblocking(flag)

    def send(self, data):
        """Of a socket that does not block: it sends what was encrypted before, or some of this."""
        if not self._unsent:
            self.tls.write(data)
            self._unsent = self._outgoing.read()
        sent = self.sock.send(self._unsent)
        self._unsent = self._unsent[sent:]
        return sent

    def recv(self, size):
        """b"": the other end has said close_notify."""
        try:
            return self._until_done(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    def shutdown(self, _how):
        """Say close_notify, and end the half below as well."""
        with contextlib.suppress(ssl.SSLError):  # it waits for the other's
            self.tls.unwrap()
        self._flush()
        self.sock.shutdown(socket.SHUT_WR)

    def certificate(self):
        return self.tls.getpeercert(binary_form=True)

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()
