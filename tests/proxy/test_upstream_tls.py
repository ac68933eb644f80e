"""How a database's certificate is checked, and what a TLS server is asked for."""

import asyncio
import ssl

import pytest
import trustme

from proxy.directory import Tls
from proxy.errors import UnreachableError
from proxy.tls import _context, tls_context
from proxy.upstream import dial


class TlsServer:
    """Shakes hands, and remembers what it was asked for.

    Attributes:
        asked: the server name of each connection (SNI).
    """

    def __init__(self, context):
        self.context = context
        self.asked = []
        context.sni_callback = lambda _connection, name, _context: self.asked.append(name)

    async def __aenter__(self):
        self._server = await asyncio.start_server(
            lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=self.context
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error):
        self._server.close()
        await self._server.wait_closed()


@pytest.fixture
def context(ca):
    """A server's, for `localhost`, 127.0.0.1 and `redis.example`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost", "127.0.0.1", "redis.example").configure_cert(context)
    return context


@pytest.fixture
def ca_file(ca, tmp_path):
    """Of the test's own, for contexts are kept by path."""
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


async def refusal(server, host="localhost", **tls):
    """Why a server is not spoken to; None: it is."""
    async with asyncio.timeout(5):
        try:
            upstream = await dial(host, server.port, Tls(**tls))
        except UnreachableError as error:
            return str(error)
    upstream.close()
    return None


@pytest.mark.parametrize(
    ("host", "tls", "asked"),
    [
        ("localhost", {}, "localhost"),
        ("localhost", {"server_name": "redis.example"}, "redis.example"),
        ("127.0.0.1", {"server_name": "redis.example"}, "redis.example"),
        ("127.0.0.1", {}, None),  # an address is no server name (RFC 6066)
        ("localhost", {"mode": "verify-ca", "server_name": "else.where"}, "else.where"),
    ],
)
async def test_the_name_that_is_checked_is_asked_for(context, ca_file, host, tls, asked):
    async with TlsServer(context) as server:
        assert await refusal(server, host, ca_file=ca_file, **tls) is None
        assert server.asked == [asked]


async def test_the_name_counts_unless_only_the_chain_is_checked(context, ca_file):
    async with TlsServer(context) as server:
        other = {"server_name": "else.where", "ca_file": ca_file}
        assert "not valid for 'else.where'" in await refusal(server, **other)
        assert await refusal(server, mode="verify-ca", **other) is None


@pytest.mark.parametrize("mode", ["verify-full", "verify-ca"])
async def test_a_stranger_is_trusted_in_no_mode(context, tmp_path, mode):
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    async with TlsServer(context) as server:
        words = await refusal(server, mode=mode, ca_file=str(tmp_path / "other.pem"))
        assert words.startswith("its certificate is not trusted")


async def test_without_a_file_the_systems_certificates_are_trusted(context, ca_file, monkeypatch):
    async with TlsServer(context) as server:
        _context.cache_clear()
        assert "not trusted" in await refusal(server)
        monkeypatch.setenv("SSL_CERT_FILE", ca_file)  # where OpenSSL looks for the system's
        _context.cache_clear()
        assert await refusal(server) is None
    _context.cache_clear()


async def test_a_file_that_changed_is_read_again(context, ca, ca_file, tmp_path):
    trustme.CA().cert_pem.write_to_path(ca_file)
    async with TlsServer(context) as server:
        assert "not trusted" in await refusal(server, ca_file=ca_file)
        ca.cert_pem.write_to_path(tmp_path / "fresh.pem")
        (tmp_path / "fresh.pem").rename(ca_file)
        assert await refusal(server, ca_file=ca_file) is None


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
@pytest.mark.parametrize(
    ("newest", "words"),
    [("TLSv1_1", "it hung up during the TLS handshake"), ("TLSv1_2", None), ("TLSv1_3", None)],
)
async def test_nothing_older_than_tls_1_2_is_spoken(context, ca_file, newest, words):
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion[newest]
    # So that on either side nothing but the version stands in the way.
    for one in (context, tls_context("verify-full", ca_file)):
        one.set_ciphers("ALL:@SECLEVEL=0")
    async with TlsServer(context) as server:
        assert await refusal(server, ca_file=ca_file) == words
