"""TLS between a socket and a session, without either: what each of the two is told, and when."""

import asyncio
import ssl

import pytest

from proxy.certificate import Certificate, CertificateFiles
from proxy.errors import CertificateError
from proxy.tls_transport import TlsTransport
from tests.proxy.tlskit import write_certificate


class Socket:
    """The transport below: what was written, and what was asked of it."""

    def __init__(self):
        self.written = b""
        self.calls = []

    def write(self, data):
        self.written += data

    def is_closing(self):
        return "close" in self.calls or "abort" in self.calls

    def get_write_buffer_size(self):
        return len(self.written)

    def get_extra_info(self, name, default=None):
        return {"peername": ("10.0.0.7", 51234)}.get(name, default)

    def __getattr__(self, name):
        return lambda *_: self.calls.append(name)


class Listener(asyncio.Protocol):
    """A session that writes down what it is told."""

    def __init__(self):
        self.told = []
        self.on_data = lambda: None

    def connection_made(self, transport):
        self.told.append("made")

    def data_received(self, data):
        self.told.append(data)
        self.on_data()

    def eof_received(self):
        self.told.append("eof")
        return True

    def connection_lost(self, exc):
        self.told.append(exc)


class Line:
    """A client, the transport, and the wire between them, which the test moves the bytes over.

    Attributes:
        heard: what the client has decrypted.
    """

    def __init__(self, certificate, ca, newest=ssl.TLSVersion.TLSv1_3, ciphers="DEFAULT"):
        self.socket, self.session = Socket(), Listener()
        self.transport = TlsTransport(certificate.context, self.session)
        self.transport.connection_made(self.socket)
        context = ssl.create_default_context()
        ca.configure_trust(context)
        context.maximum_version = newest
        context.set_ciphers(ciphers)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname="orders.valkeeper.internal"
        )
        self.heard = b""

    def shake_hands(self):
        for _ in range(4):
            try:
                self.client.do_handshake()
            except ssl.SSLWantReadError:
                self.pass_on()
            else:
                self.pass_on()
                return self
        pytest.fail("no end of the handshake")

    def said(self):
        """What the client has ready to be sent."""
        return self._outgoing.read()

    def pass_on(self):
        """Let both have what the other has sent."""
        if data := self.said():
            self.transport.data_received(data)
        data, self.socket.written = self.socket.written, b""
        self._incoming.write(data)

    def say(self, data):
        self.client.write(data)
        self.pass_on()

    def say_goodbye(self):
        with pytest.raises(ssl.SSLWantReadError):
            self.client.unwrap()

    def hear(self):
        self.pass_on()
        try:
            while data := self.client.read(65536):
                self.heard += data
        except ssl.SSLWantReadError:
            return self.heard
        except ssl.SSLZeroReturnError:
            pass
        return self.heard + b"<end>"


@pytest.fixture(scope="module")
def certificate(ca, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    write_certificate(ca, folder)
    return Certificate(CertificateFiles(cert_file=folder / "door.pem", key_file=folder / "door.key"))


@pytest.fixture
def line(certificate, ca):
    return Line(certificate, ca)


async def turn():
    """Let the loop run what was put off."""
    await asyncio.sleep(0)


def test_the_session_is_there_from_the_first_moment_and_hears_nothing_before_the_handshake(line):
    assert line.session.told == ["made"]
    assert line.transport.get_extra_info("peername") == ("10.0.0.7", 51234)
    line.transport.write(b"too early")
    assert line.transport.get_extra_info("server_name") is None
    line.shake_hands()
    assert line.session.told == ["made"]
    assert line.transport.get_extra_info("server_name") == "orders.valkeeper.internal"
    line.say(b"PING")
    assert line.session.told == ["made", b"PING"]
    line.transport.write(b"PONG")
    assert line.hear() == b"PONG"


@pytest.mark.parametrize("end", ["write_eof", "close"])
def test_before_the_handshake_the_end_is_a_hanging_up(line, end):
    line.transport.write(b"-ERR too early")
    getattr(line.transport, end)()
    assert (line.socket.written, line.socket.calls) == (b"", ["close"])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_ends_its_half_still_gets_its_answers(certificate, ca, version):
    line = Line(certificate, ca, version).shake_hands()
    line.client.write(b"PING")
    line.say_goodbye()
    line.pass_on()
    line.transport.eof_received()
    assert line.session.told == ["made", b"PING", "eof"], "told once, behind the data"
    assert line.socket.calls == []
    line.transport.write(b"PONG")
    line.transport.close()
    assert line.hear() == b"PONG<end>"
    assert line.socket.calls == ["close"]


def test_an_end_without_close_notify_is_an_end_too(line):
    line.shake_hands().say(b"PING")
    line.transport.eof_received()
    assert line.session.told == ["made", b"PING", "eof"]
    assert line.socket.calls == []


async def test_while_reading_is_paused_nothing_is_told_and_nothing_lost(line):
    line.shake_hands()
    line.transport.pause_reading()
    line.say(b"one")
    line.say(b"two")
    line.transport.eof_received()
    assert line.session.told == ["made"]
    line.transport.resume_reading()
    assert line.session.told == ["made"], "not from inside the call"
    await turn()
    assert line.session.told == ["made", b"onetwo", "eof"]
    assert line.socket.calls == ["pause_reading", "resume_reading"]


async def test_who_pauses_as_it_is_told_hears_of_the_end_later(line):
    line.shake_hands()
    line.session.on_data = line.transport.pause_reading
    line.client.write(b"last words")
    line.say_goodbye()
    line.pass_on()
    assert line.session.told == ["made", b"last words"]
    line.transport.resume_reading()
    await turn()
    assert line.session.told == ["made", b"last words", "eof"]


def test_values_of_many_records_arrive_whole(line):
    line.shake_hands()
    value = bytes(range(256)) * 1000
    rest = memoryview(value)
    while rest:
        rest = rest[line.client.write(rest) :]
    line.pass_on()
    assert line.session.told[1:] == [value]
    line.transport.write(value)
    assert line.hear() == value


def test_after_the_last_words_nothing_is_said_or_heard(line):
    line.shake_hands()
    line.transport.write(b"last words")
    line.transport.write_eof()
    line.transport.write(b"and more")
    assert line.hear() == b"last words<end>"
    line.transport.data_received(b"anything, which nobody decrypts")
    assert line.session.told == ["made"]
    assert line.transport._incoming.pending == 0, "nor held"
    assert line.socket.calls == ["write_eof"]


def test_what_waits_to_be_written_is_known(line):
    line.shake_hands()
    line.transport.write(b"x" * 100_000)
    assert line.transport.get_write_buffer_size() > 100_000


def test_a_failed_handshake_reaches_the_session_and_the_client(certificate, ca):
    # The certificate's key is for elliptic curves.
    line = Line(certificate, ca, ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256")
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        line.shake_hands()
    assert line.socket.calls == ["close"]
    line.transport.data_received(b"PING\r\n")
    line.transport.connection_lost(None)
    made, error = line.session.told
    assert error.reason == "NO_SHARED_CIPHER"


def test_bytes_that_were_changed_on_the_way_end_the_connection(line):
    line.shake_hands()
    line.client.write(b"PING")
    data = bytearray(line.said())
    data[-1] ^= 1
    line.transport.data_received(bytes(data))
    line.transport.connection_lost(None)
    made, error = line.session.told
    assert isinstance(error, ssl.SSLError)
    assert line.socket.calls == ["close"]


def test_without_a_certificate_the_connection_ends_and_the_session_learns_why(ca, tmp_path):
    missing = Certificate(CertificateFiles(cert_file=tmp_path / "no.pem", key_file=tmp_path / "no.key"))
    line = Line(missing, ca)
    with pytest.raises(ssl.SSLWantReadError):
        line.client.do_handshake()
    line.pass_on()
    assert line.socket.calls == ["close"]
    line.transport.connection_lost(None)
    assert isinstance(line.session.told[-1], CertificateError)
