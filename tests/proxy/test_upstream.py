"""What a try to log in proves, on a real server."""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading

import pytest
import uvloop
from pydantic import SecretStr

from discovery import model
from proxy.directory import Tls
from proxy.errors import UnreachableError
from proxy.upstream import LoginOutcome, dial, login
from tests.proxy.proxykit import PATIENCE, free_port


async def attempt(server, username="app", password="app-current", **changes):
    options = {
        "host": "localhost",
        "port": server.port,
        "tls": Tls(ca_file=str(server.ca_file)),
        "timeout": 5,
    } | changes
    return await login(
        options.pop("host"), options.pop("port"), options.pop("tls"), username, SecretStr(password), **options
    )


async def test_a_right_password_is_accepted(server):
    assert (await attempt(server)).outcome is LoginOutcome.ACCEPTED
    discovered = model.Tls(ca_file=str(server.ca_file))
    assert (await attempt(server, tls=discovered)).outcome is LoginOutcome.ACCEPTED
    assert (await attempt(server, tls=Tls(), ca_file=str(server.ca_file))).outcome is LoginOutcome.ACCEPTED


async def test_a_user_that_may_do_nothing_but_log_in_is_accepted(server):
    server.acl("app", "resetkeys", "-@all")
    try:
        assert (await attempt(server)).outcome is LoginOutcome.ACCEPTED
    finally:
        server.acl("app", "~*", "+@all")


@pytest.mark.parametrize(("username", "password"), [("app", "wrong"), ("nobody", "x"), ("default", "x")])
async def test_a_wrong_password_or_a_user_that_is_off_is_rejected(server, username, password):
    result = await attempt(server, username, password)
    assert result.outcome is LoginOutcome.REJECTED
    assert result.reason.startswith("WRONGPASS")
    assert "wrong" not in result.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"port": free_port()}, "connection refused"),
        ({"host": "no-such-host.invalid"}, "its name does not resolve"),
        ({"tls": Tls()}, "its certificate is not trusted"),
        ({"tls": Tls(ca_file="/no/such/file")}, "its certificate cannot be checked: /no/such/file"),
    ],
)
async def test_everything_else_proves_nothing(server, changes, reason):
    result = await attempt(server, **changes)
    assert result.outcome is LoginOutcome.UNREACHABLE
    assert result.reason.startswith(reason)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (
            b"-LOADING Redis is loading the dataset in memory\r\n",
            "LOADING Redis is loading the dataset in memory",
        ),
        (b"-ERR max number of clients reached\r\n", "ERR max number of clients reached"),
        (b"HTTP/1.1 400 Bad Request\r\n", "it does not speak RESP"),
        (b"", "it hung up before it answered"),
        (None, "no answer within 0.3 s"),
    ],
)
async def test_a_server_that_says_something_else_proves_nothing(server, says, reason):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.folder / "cert.pem", server.folder / "key.pem")
    finished = asyncio.Event()

    async def serve(reader, writer):
        await reader.read(1000)
        if says is None:
            await finished.wait()
        else:
            writer.write(says)
        writer.close()

    listening = await asyncio.start_server(serve, "localhost", 0, ssl=context)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        result = await attempt(server, host="localhost", port=port, timeout=0.3 if says is None else 5)
        finished.set()
    assert (result.outcome, result.reason) == (LoginOutcome.UNREACHABLE, reason)


async def test_a_connection_to_a_database_is_kept_alive(server):
    upstream = await dial("localhost", server.port, Tls(ca_file=str(server.ca_file)))
    sock = upstream.transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
    upstream.close()


async def test_what_is_to_be_sent_first_is_answered_first(server):
    upstream = await dial(
        "localhost",
        server.port,
        Tls(ca_file=str(server.ca_file)),
        first=lambda: b"AUTH app app-current\r\nECHO a\r\n",
    )
    assert await upstream.answer() == b"+OK\r\n"
    assert await upstream.answer() == b"$1\r\na\r\n"
    assert await upstream.ask(b"ECHO b\r\n") == b"$1\r\nb\r\n"
    upstream.close()


@pytest.mark.parametrize(
    "tls", [{"ca_file": None}, {"server_name": "elsewhere"}], ids=["unknown issuer", "other name"]
)
async def test_nothing_is_asked_for_that_a_server_which_is_not_trusted_could_read(server, tls):
    asked = []

    def first():
        asked.append("AUTH")
        return b"AUTH app app-current\r\n"

    with pytest.raises(UnreachableError, match="certificate is not trusted"):
        await dial("localhost", server.port, Tls(**{"ca_file": str(server.ca_file)} | tls), first=first)
    assert asked == []


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_server_that_resets_the_connection_at_once_is_said_to_have_hung_up(server, new_loop):
    """The certificate is good, and the connection gone before whoever dialled hears of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.folder / "cert.pem", server.folder / "key.pem")
    asked, reset = threading.Event(), threading.Event()

    def serve():
        sock, _ = listening.accept()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(sock.recv(4096))
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        sock.sendall(outgoing.read())
        asked.wait(PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        reset.set()

    def first():
        asked.set()
        assert reset.wait(PATIENCE)
        return b"AUTH app app-current\r\n"

    async def ask():
        upstream = await dial(
            "localhost", listening.getsockname()[1], Tls(ca_file=str(server.ca_file)), first=first
        )
        with pytest.raises(UnreachableError, match="it hung up before it answered"):
            await upstream.answer()
        upstream.close()

    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        asyncio.Runner(loop_factory=new_loop) as runner,
    ):
        threading.Thread(target=serve, daemon=True).start()
        runner.run(ask())
    assert reset.is_set()


async def test_a_host_is_reached_by_the_first_of_its_addresses_that_takes_connections(server, monkeypatch):
    resolve = socket.getaddrinfo

    def getaddrinfo(host, *rest, **options):
        if host != "database.example":
            return resolve(host, *rest, **options)
        return [*resolve("127.0.0.3", *rest, **options), *resolve("127.0.0.1", *rest, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    tls = Tls(ca_file=str(server.ca_file), server_name="localhost")
    upstream = await dial("database.example", server.port, tls, first=lambda: b"AUTH app app-current\r\n")
    assert upstream.transport.get_extra_info("peername") == ("127.0.0.1", server.port)
    assert await upstream.answer() == b"+OK\r\n"
    assert upstream.stages.keys() == {"dial", "tls"}
    assert min(upstream.stages.values()) > 0
    upstream.close()


async def test_every_dial_asks_anew_where_the_database_is(server, monkeypatch):
    """As after a failover, which gives a name another address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.folder / "cert.pem", server.folder / "key.pem")
    port, addresses, resolve = free_port(), ["127.0.0.1", "127.0.0.2"], socket.getaddrinfo

    def getaddrinfo(host, *rest, **options):
        return resolve(leads_to if host == "database.example" else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    tls = Tls(ca_file=str(server.ca_file), server_name="localhost")
    async with await asyncio.start_server(lambda *_: None, addresses, port, ssl=context):
        for leads_to in (*addresses, *addresses):
            upstream = await dial("database.example", port, tls)
            assert upstream.transport.get_extra_info("peername") == (leads_to, port)
            upstream.close()
