"""Clients that come by TLS, to the real proxy: how they are let in, as whom, and what they are never let do."""

import asyncio
import contextlib
import signal
import socket
import ssl
import subprocess

import pytest
import redis.asyncio

from proxy.certificate import Certificate, CertificateFiles
from proxy.listener import identify_by_role
from proxy.resp import encode
from tests.proxy.dialogues import AFTER_LOGIN, BEFORE_LOGIN, LOGIN
from tests.proxy.hall import Hall
from tests.proxy.pair import Pair
from tests.proxy.proxykit import PATIENCE, credential, database, directory, eventually
from tests.proxy.tlskit import ANYTHING, TlsClient, TlsDoor, write_certificate

WHOAMI = b"ACL WHOAMI\r\n"
APP = b"AUTH app x\r\n" + WHOAMI
IS_APP = b"+OK\r\n$3\r\napp\r\n"


# Real clients, and the same bytes as directly.


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(door, protocol):
    with door.client(protocol=protocol) as client:
        assert client.execute_command("ACL", "WHOAMI") in (b"app", "app")


async def test_redis_py_with_asyncio(door):
    client = redis.asyncio.Redis(
        host="localhost", port=door.port, ssl=True, ssl_ca_certs=str(door.ca_file), username="app@orders", password="x"
    )  # fmt: skip
    async with client:
        assert await client.ping()
        async with client.pipeline(transaction=True) as pipe:
            assert await pipe.echo("a").echo("b").execute() == [b"a", b"b"]


def test_redis_cli(door):
    done = subprocess.run(
        [
            "redis-cli", "-h", "127.0.0.1", "-p", str(door.port), "--tls", "--cacert", str(door.ca_file),
            "--sni", "orders.valkeeper.internal", "--user", "app", "--pass", "x", "--no-auth-warning", "acl", "whoami",
        ],
        capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.stdout == "app\n"


@pytest.fixture(scope="module")
def pair(shared_server, shared_proxy):
    shared_proxy.serve(database(shared_server))
    with shared_server.client() as admin:
        yield Pair(shared_server, shared_proxy.door.socket, admin)


@pytest.mark.parametrize("name", list(BEFORE_LOGIN)[::9])
def test_the_same_as_directly_before_a_login(pair, name):
    direct, through = pair.answers(
        [BEFORE_LOGIN[name]], pieces=1 << 20 if len(BEFORE_LOGIN[name]) > 1000 else 3
    )
    assert through == direct


@pytest.mark.parametrize("name", list(AFTER_LOGIN)[::9])
def test_the_same_as_directly_in_a_session(pair, name):
    direct, through = pair.answers([LOGIN, *AFTER_LOGIN[name]])
    assert through == direct


# Which database.


@pytest.mark.parametrize("name", ["orders", "ORDERS"])
def test_the_name_that_a_client_asks_for_may_be_the_databases(door, name):
    assert door.say(APP, name) == IS_APP


@pytest.mark.parametrize("name", ["", "orders", "nosuch"])
def test_a_login_may_name_the_database_whatever_name_was_asked_for(door, proxy, server, name):
    proxy.serve(database(server), database(server, "carts"))
    heard = door.say(b"AUTH app@carts x\r\nAUTH app@carts x\r\nAUTH app@orders x\r\n", name)
    assert heard.startswith(
        b"+OK\r\n+OK\r\n-ERR valkeeper: this connection is to database 'carts'; connect again"
    )


@pytest.mark.parametrize("name", ["", "nosuch"])
def test_who_asks_for_no_database_has_to_name_one(door, name):
    assert door.say(b"AUTH app x\r\n", name).startswith(
        b"-NOAUTH valkeeper: this address serves every database"
    )


def test_who_asks_for_a_database_and_does_not_log_in_hears_it_from_the_database(door):
    assert door.say(b"PING\r\n") == b"-NOAUTH Authentication required.\r\n"


# Who it is, and what it may.


def test_a_caller_is_known_by_its_address_and_role(door, proxy):
    with door.socket() as sock:
        sock.sendall(APP)
        assert sock.recv(5) == b"+OK\r\n"
        port = sock.sock.getsockname()[1]
        [record] = proxy.publisher.sessions()[0].values()
        assert (record.identity, record.uid, record.pid) == (
            f"tls 127.0.0.1:{port} (role anything)",
            None,
            None,
        )


@pytest.mark.parametrize(
    ("peername", "shown"),
    [
        (("10.0.0.7", 1), "tls 10.0.0.7:1 (role r)"),
        (("2001:db8::7", 1, 0, 0), "tls [2001:db8::7]:1 (role r)"),
        (("::ffff:10.0.0.7", 1, 0, 0), "tls 10.0.0.7:1 (role r)"),
        (None, "tls unknown:0 (role r)"),
    ],
)
def test_addresses_of_every_kind_are_shown(peername, shown):
    transport = asyncio.BaseTransport({"peername": peername})
    assert str(identify_by_role("r")(transport)) == shown


NOT_ORDERS = b"-NOPERM valkeeper: role 'backend' does not permit database 'carts'"
NOT_USER = b"-NOPERM valkeeper: role 'backend' does not permit user '%b' of database 'orders'; log in as app or legacy"
NO_DEBUGGER = b"-ERR valkeeper: SCRIPT DEBUG is not passed on for a client with a role"
TOO_LARGE = b"-ERR valkeeper: more than 64 KiB or 64 arguments in a login"
LEGACY = b"AUTH legacy legacy-password\r\n"


@pytest.mark.parametrize(
    ("says", "hears"),
    [
        (APP, IS_APP),
        (LEGACY + WHOAMI, b"+OK\r\n$6\r\nlegacy\r\n"),
        (APP + LEGACY + WHOAMI, IS_APP + b"+OK\r\n$6\r\nlegacy\r\n"),
        (b"AUTH app@carts x\r\n", NOT_ORDERS),
        (b"AUTH other x\r\n", NOT_USER % b"other"),
        (b"AUTH default x\r\n", NOT_USER % b"default"),
        (b"AUTH x\r\n", NOT_USER % b"default"),
        (b"PING\r\n", NOT_USER % b"default"),
        (b"RESET\r\n", NOT_USER % b"default"),
        (APP + b"AUTH other other-current\r\n" + WHOAMI, IS_APP + NOT_USER % b"other"),
        (APP + b"AUTH x\r\n" + WHOAMI, IS_APP + NOT_USER % b"default"),
        (APP + b"RESET\r\n" + WHOAMI, IS_APP + NOT_USER % b"default"),
        (APP + b"MULTI\r\nauth default x\r\n", IS_APP + b"+OK\r\n" + NOT_USER % b"default"),
        # Redis 7.0 takes the first of these before it finds fault with the second.
        (APP + b"HELLO 3 AUTH other other-current SETNAME\r\n" + WHOAMI, IS_APP + NOT_USER % b"other"),
        (APP + b"HELLO 3 AUTH app x AUTH other other-current\r\n" + WHOAMI, IS_APP + NOT_USER % b"other"),
        (APP + b"SCRIPT DEBUG YES\r\nAUTH other other-current\r\n", IS_APP + NO_DEBUGGER),
        (
            APP + encode((b"HELLO", b"3", b"AUTH", b"other", b"other-current", b"SETNAME", b"x" * 600_000)) + WHOAMI,
            IS_APP + TOO_LARGE,
        ),
    ],
)  # fmt: skip
def test_nothing_that_the_role_does_not_permit(proxy, says, hears):
    heard = proxy.backend.say(says)
    assert heard.startswith(hears)
    assert heard.count(b"\r\n") == hears.count(b"\r\n") + (not hears.endswith(b"\r\n"))


def test_whoever_may_not_be_default_is_not_left_as_it_by_a_login_that_fails(proxy, server):
    server.acl("default", "on", "nopass", "~*", "+@all")
    assert proxy.door.say(b"AUTH legacy wrong\r\n" + WHOAMI).endswith(b"$7\r\ndefault\r\n")
    heard = proxy.backend.say(b"AUTH legacy wrong\r\n" + WHOAMI)
    assert heard.startswith(b"-WRONGPASS")
    assert heard.count(b"\r\n") == 1


def test_nobody_learns_which_databases_there_are(proxy, server):
    proxy.serve(database(server), database(server, "carts"))
    existing, missing = (proxy.backend.say(b"AUTH app@%b x\r\n" % name) for name in (b"carts", b"stock"))
    assert existing.replace(b"carts", b"stock") == missing
    assert missing.startswith(b"-NOPERM")


# What is no TLS, or too old, or never ends.


def test_what_is_no_tls_is_hung_up_on_and_counted(door, proxy):
    with door.plain() as sock:
        sock.sendall(b"PING\r\n")
        assert b"PONG" not in b"".join(iter(lambda: sock.recv(100), b""))
    assert proxy.publisher.counters("", lambda counts: counts.failures.get("tls"))


def old_client(door, newest):
    """The error that a handshake ends with, of a client that knows nothing newer."""
    context = ssl.create_default_context(cafile=str(door.ca_file))
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
    context.set_ciphers("ALL:@SECLEVEL=0")
    with door.plain() as plain, pytest.raises((ssl.SSLError, ConnectionError)) as ended:
        context.wrap_socket(plain, server_hostname="localhost")
    return str(ended.value)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_nothing_older_than_tls_1_2(door, proxy):
    assert "PROTOCOL_VERSION" in old_client(door, ssl.TLSVersion.TLSv1_1).upper()
    assert door.say(APP, newest=ssl.TLSVersion.TLSv1_2) == IS_APP
    assert "UNSUPPORTED_PROTOCOL" in str([event["error"] for event in proxy.events("client refused")])


@pytest.mark.parametrize("step", [1, 7])
def test_a_connection_may_be_cut_anywhere(door, step):
    class Crumbs:
        """A socket that sends so few bytes at a time."""

        def __init__(self, sock):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock = sock

        def __getattr__(self, name):
            return getattr(self._sock, name)

        def sendall(self, data):
            for at in range(0, len(data), step):
                self._sock.sendall(data[at : at + step])

    with TlsClient(Crumbs(door.plain()), door.ca_file, "orders.valkeeper.internal") as sock:
        sock.sendall(APP)
        sock.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: sock.recv(100), b"")) == IS_APP


@pytest.fixture
def own_door(start_proxy, publisher, server, short_dir, ca):
    """A TLS port of the test's own proxy."""

    def start(**settings):
        publisher.publish(directory(database(server), credentials=[credential()]))
        write_certificate(ca, short_dir)
        own = TlsDoor(short_dir, server.ca_file)
        listeners = [{"unix": "{runtime_dir}/{database}.sock"}, own.listener(database="orders")]
        own.proxy = start_proxy(roles=[ANYTHING], listeners=listeners, **settings).wait_for()
        return own

    return start


def test_a_client_that_never_shakes_hands_counts_and_holds_up_nobody(own_door):
    door = own_door(limits={"per_identity": 3})
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(door.plain()) for _ in range(2)]
        silent[1].sendall(b"\x16\x03\x01")
        eventually(lambda: len(door.proxy.publisher.sessions()[0]) == 2)
        assert door.say(APP, "whatever") == IS_APP, "a port for one database asks for no name"
        silent.append(stack.enter_context(door.plain()))
        eventually(lambda: len(door.proxy.publisher.sessions()[0]) == 3)
        with door.plain() as refused:  # hung up on without a word, as by Redis
            assert refused.recv(100) == b""
        assert door.say(APP, source="127.0.0.2") == IS_APP, "another address is counted by itself"
        assert door.proxy.say(APP) == IS_APP
        states = {record.state for record in door.proxy.publisher.sessions()[0].values()}
        assert states == {"greeting"}
        door.proxy.publisher.end_sessions(*door.proxy.publisher.sessions()[0])
        assert [sock.recv(100) for sock in silent] == [b""] * 3
    [refused] = door.proxy.events("client refused")
    assert (refused["reason"], "tls 127.0.0.1:" in refused["identity"]) == ("too_many_of_identity", True)


@pytest.mark.parametrize("says", [b"", b"\x16\x03\x01\x02\x00"])
async def test_a_handshake_has_the_time_that_a_login_has(short_dir, ca, monkeypatch, says):
    monkeypatch.setattr("proxy.session.HANDSHAKE_SECONDS", 0.05)
    write_certificate(ca, short_dir)
    certificate = Certificate(
        CertificateFiles(cert_file=short_dir / "door.pem", key_file=short_dir / "door.key")
    )
    async with asyncio.timeout(PATIENCE), Hall(short_dir / "orders.sock", directory(), certificate) as hall:
        reader, writer = await asyncio.open_unix_connection(hall.path)
        writer.write(says)
        assert await reader.read() == b""
        writer.close()
        await hall.until(lambda: not hall.sessions)
        assert hall.floor.tally("").failures == {"handshake_timeout": 1}


# Ends.


def everything(sock):
    return b"".join(iter(lambda: sock.recv(65536), b""))


def test_a_session_that_is_ended_reads_why_behind_its_replies(own_door):
    door = own_door()
    with door.socket() as killed, door.socket() as drained, door.socket() as silent:
        killed.sendall(b"AUTH app x\r\n" + b"PING\r\n" * 1000)
        drained.sendall(b"AUTH app x\r\n")
        assert drained.recv(5) == b"+OK\r\n"
        [ours] = [one.id for one in door.proxy.publisher.sessions()[0].values() if str(killed.sock.getsockname()[1]) in one.identity]  # fmt: skip
        door.proxy.publisher.end_sessions(ours)
        assert everything(killed) == b"+OK\r\n" + b"+PONG\r\n" * 1000 + b"-ERR valkeeper: it is time\r\n"
        killed.close()
        door.proxy.process.send_signal(signal.SIGTERM)
        assert everything(drained) == b"-ERR valkeeper: the proxy is shutting down; connect again\r\n"
        assert everything(silent) == b"-ERR valkeeper: the proxy is shutting down; connect again\r\n"
    assert door.proxy.process.wait(PATIENCE) == 0
