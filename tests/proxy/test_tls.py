"""Sessions are resumed only where, and as long as, the certificate counts as verified."""

import asyncio
import contextlib
import shutil
import ssl

import pytest
import trustme

from proxy import resumption
from proxy.directory import Tls
from proxy.errors import UnreachableError
from proxy.resp import encode
from proxy.tls import tls_context
from proxy.upstream import dial

LOGIN = encode((b"AUTH", b"app", b"app-current"))


@pytest.fixture(autouse=True, params=[resumption.ByOpenSsl, resumption.ByPython])
def way(request, monkeypatch):
    """How sessions are taken and offered."""
    monkeypatch.setattr("proxy.resumption.best", request.param)


@pytest.fixture
def ca_file(server, tmp_path):
    """A file of the test's own, so that no other test has a session of its context."""
    return shutil.copy(server.ca_file, tmp_path / "ca.pem")


async def resumed(server, ca_file, *, mode="verify-full", server_name=None, port=None):
    """Whether a new connection resumed a session."""
    tls = Tls(ca_file=str(ca_file), mode=mode, server_name=server_name)
    upstream = await dial("localhost", port or server.port, tls)
    try:
        assert await upstream.ask(LOGIN) == b"+OK\r\n"
        return upstream.transport.get_extra_info("ssl_object").session_reused
    finally:
        upstream.close()


async def test_a_session_is_resumed_for_a_minute(server, ca_file):
    context = tls_context("verify-full", str(ca_file))
    context.clock = lambda: 1000.0
    assert [await resumed(server, ca_file) for _ in range(4)] == [False, True, True, True]
    context.clock = lambda: 1059.9
    assert await resumed(server, ca_file)
    context.clock = lambda: 1060.0
    assert [await resumed(server, ca_file) for _ in range(2)] == [False, True], "verified anew, and kept anew"


async def test_only_where_the_same_was_verified(server, ca_file):
    assert [await resumed(server, ca_file) for _ in range(2)] == [False, True]
    assert not await resumed(server, ca_file, mode="verify-ca")
    assert not await resumed(server, ca_file, server_name="127.0.0.1")
    assert await resumed(server, ca_file)


async def test_what_is_no_longer_trusted_is_not_resumed(server, ca_file):
    assert [await resumed(server, ca_file) for _ in range(2)] == [False, True]
    trustme.CA().cert_pem.write_to_path(str(ca_file))
    with pytest.raises(UnreachableError, match="not trusted"):
        await resumed(server, ca_file)


@contextlib.asynccontextmanager
async def another_server(context):
    """It has ticket keys of its own, and says OK to everything. Gives its port."""

    async def serve(reader, writer):
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            while await reader.read(1000):
                writer.write(b"+OK\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "localhost", 0, ssl=context) as listening:
        yield listening.sockets[0].getsockname()[1]


async def test_an_impostor_of_the_name_has_to_show_its_certificate(server, ca_file):
    assert [await resumed(server, ca_file) for _ in range(2)] == [False, True]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    async with another_server(context) as port:
        with pytest.raises(UnreachableError, match="not trusted"):
            await resumed(server, ca_file, port=port)


async def test_a_session_that_is_refused_is_offered_no_more(server, ca_file):
    """Such as after a restart. Offering one, and looking at the next, takes as long as half a handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.folder / "cert.pem", server.folder / "key.pem")
    ours = tls_context("verify-full", str(ca_file))
    ours.clock = lambda: 1000.0
    assert [await resumed(server, ca_file) for _ in range(2)] == [False, True]
    async with another_server(context) as port:
        assert not await resumed(server, ca_file, port=port)
        assert not await resumed(server, ca_file), "its session was given up"
        ours.clock = lambda: 1060.0
        assert [await resumed(server, ca_file, port=port) for _ in range(2)] == [False, True]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_every_version_of_tls_can_be_resumed(server, ca_file, version):
    context = tls_context("verify-full", str(ca_file))
    context.minimum_version = context.maximum_version = version
    assert [await resumed(server, ca_file) for _ in range(3)] == [False, True, True]
