"""Clients log in through the real proxy to a real Redis, without knowing a password."""

import contextlib
import os
import subprocess

import pytest
import redis

from proxy.messages import Rejected
from proxy.resp import encode
from tests.proxy.proxykit import credential, database, directory, eventually, free_port, token

HELLO = encode((b"HELLO", b"3", b"AUTH", b"app", b"x", b"SETNAME", b"me"))


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("password", ["x", "app-previous", "a b\r\nc"])
def test_a_managed_user_is_let_in_whatever_its_password(proxy, protocol, password):
    with proxy.client(password=password, protocol=protocol, client_name="me") as client:
        assert client.execute_command("ACL", "WHOAMI") in (b"app", "app")
        assert client.client_getname() in (b"me", "me")


def test_auth_is_answered_as_redis_does_and_the_rest_of_the_packet_follows(proxy):
    assert proxy.say(b"AUTH app x\r\nPING\r\nECHO hi\r\n") == b"+OK\r\n+PONG\r\n$2\r\nhi\r\n"


@pytest.mark.parametrize("step", [1, 7])
def test_commands_may_be_cut_anywhere(proxy, step):
    data = encode((b"AUTH", b"app", b"x")) + encode((b"ECHO", b"hi")) + b"auth app y\r\n" + encode((b"PING",))
    with proxy.socket() as sock:
        for at in range(0, len(data), step):
            sock.sendall(data[at : at + step])
        sock.shutdown(1)
        assert b"".join(iter(lambda: sock.recv(4096), b"")) == b"+OK\r\n$2\r\nhi\r\n+OK\r\n+PONG\r\n"


def test_hello_is_answered_by_the_database(proxy, server):
    through = proxy.say(HELLO + encode((b"CLIENT", b"GETNAME")))
    assert through.startswith(b"%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n")
    assert through.endswith(b"$2\r\nme\r\n")


def test_a_bad_client_name_gets_the_databases_error_and_the_session_goes_on(proxy):
    data = encode((b"HELLO", b"3", b"AUTH", b"app", b"x", b"SETNAME", b"a b")) + encode((b"ACL", b"WHOAMI"))
    assert proxy.say(data) == (
        b"-ERR Client names cannot contain spaces, newlines or special characters.\r\n$3\r\napp\r\n"
    )


def test_no_login_shows_the_password_where_the_database_records_commands(proxy, server):
    """Redis does not hide the password in a HELLO that it refuses before it has read that far."""
    logins = [
        encode((b"HELLO", b"3", b"SETNAME", b"a b", b"AUTH", b"app", b"x")),
        encode((b"HELLO", b"3", b"SETNAME", b"a\0b", b"AUTH", b"app", b"x")),
        encode((b"HELLO", b"3", b"WHAT", b"AUTH", b"app", b"x")),
        encode((b"HELLO", b"3", b"AUTH", b"app", b"x", b"WHAT")),
        encode((b"HELLO", b"3", b"AUTH", b"app", b"x", b"AUTH", b"app", b"x")),
        encode((b"AUTH", b"app", b"x")),
    ]
    show = encode((b"SLOWLOG", b"GET", b"-1")) + encode((b"SLOWLOG", b"RESET"))
    with server.client() as admin:
        admin.config_set("slowlog-log-slower-than", 0)
        try:
            for login in logins:
                # Before a client is let in, within its session, and in a transaction.
                in_transaction = encode((b"MULTI",)) + login + encode((b"EXEC",))
                said = proxy.say(login + b"AUTH app x\r\n" + login + in_transaction + show)
                assert b"HELLO" in said or b"AUTH" in said
                assert b"app-current" not in said
        finally:
            admin.config_set("slowlog-log-slower-than", 10_000)


@pytest.mark.parametrize(
    "login",
    [
        encode((b"HELLO", b"3", b"AUTH", b"legacy", b"legacy-password", b"SETNAME", b"n" * 100_000)),
        encode((b"HELLO", b"3", b"AUTH", b"legacy", b"legacy-password", *(b"SETNAME", b"n") * 40)),
        encode((b"auth\0", b"legacy", b"legacy-password")),
    ],
)
def test_a_login_that_cannot_be_followed_ends_the_session_with_an_error(proxy, login):
    with proxy.socket() as sock:
        sock.sendall(b"AUTH app x\r\nECHO a\r\n" + login[:70_000])
        with contextlib.suppress(BrokenPipeError):
            sock.sendall(login[70_000:] + b"ACL WHOAMI\r\n")
        said = b"".join(iter(lambda: sock.recv(4096), b""))
    assert said.startswith(b"+OK\r\n$1\r\na\r\n-ERR valkeeper: ")
    assert said.count(b"\r\n") == 4


def test_a_user_that_is_not_held_goes_through_untouched(proxy):
    assert proxy.say(b"AUTH legacy legacy-password\r\nACL WHOAMI\r\n") == b"+OK\r\n$6\r\nlegacy\r\n"
    assert proxy.say(b"AUTH legacy x\r\n").startswith(b"-WRONGPASS invalid username-password pair")
    assert proxy.say(b"AUTH x\r\n").startswith(b"-WRONGPASS")


def test_who_does_not_log_in_is_told_so_by_the_database(proxy):
    assert proxy.say(b"PING\r\n") == b"-NOAUTH Authentication required.\r\n"
    assert proxy.say(encode((b"HELLO", b"3"))).startswith(b"-NOAUTH HELLO must be called")
    assert proxy.say(encode((b"HELLO", b"9"))) == b"-NOPROTO unsupported protocol version\r\n"
    assert proxy.say(b"*x\r\n") == b"-ERR Protocol error: invalid multibulk length\r\n"
    assert proxy.say(b"QUIT\r\n") == b"+OK\r\n"


def test_a_client_may_log_in_later(proxy):
    expected = b"-NOAUTH Authentication required.\r\n+OK\r\n$3\r\napp\r\n"
    assert proxy.say(b"COMMAND DOCS\r\nAUTH app x\r\nACL WHOAMI\r\n") == expected


def test_an_open_session_may_become_another_user_and_back(proxy):
    data = b"AUTH app x\r\nAUTH legacy legacy-password\r\nACL WHOAMI\r\nAUTH app y\r\nACL WHOAMI\r\nAUTH legacy no\r\n"
    answer = proxy.say(data + b"ACL WHOAMI\r\nPING\r\n")
    assert answer.startswith(b"+OK\r\n+OK\r\n$6\r\nlegacy\r\n+OK\r\n$3\r\napp\r\n-WRONGPASS ")
    assert answer.endswith(b"\r\n$3\r\napp\r\n+PONG\r\n")


def test_auth_in_the_middle_keeps_its_place_among_the_replies(proxy):
    many = b"".join(encode((b"ECHO", b"%d" % n)) for n in range(500))
    replies = b"".join(b"$%d\r\n%d\r\n" % (len(str(n)), n) for n in range(500))
    auth = encode((b"AUTH", b"app", b"x"))
    assert (
        proxy.say(auth + many + auth + many + auth * 300)
        == b"+OK\r\n" + replies + b"+OK\r\n" + replies + b"+OK\r\n" * 300
    )


def test_auth_in_a_transaction_is_as_in_redis(proxy, server):
    key = token().encode()
    commands = b"MULTI\r\nSET %b 1\r\nAUTH app x\r\nEXEC\r\nDEL %b\r\n" % (key, key)
    assert (
        proxy.say(b"AUTH app x\r\n" + commands)
        == b"+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n:1\r\n"
    )


def test_reset_keeps_its_meaning(proxy):
    assert proxy.say(b"AUTH app x\r\nRESET\r\nPING\r\nAUTH app x\r\nPING\r\n") == (
        b"+OK\r\n+RESET\r\n-NOAUTH Authentication required.\r\n+OK\r\n+PONG\r\n"
    )


def test_a_database_with_a_held_default_user_needs_no_auth(proxy, server):
    server.acl("default", "on", ">default-current", "~*", "&*", "+@all")
    held = credential("default", current="default-current", previous=None)
    proxy.serve(database(server, users=("default",)), credentials=[held])
    assert proxy.say(b"PING\r\nACL WHOAMI\r\n") == b"+PONG\r\n$7\r\ndefault\r\n"
    with proxy.client(username=None, password=None) as client:
        assert client.ping()
    assert proxy.say(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", eof=False) == b""


def test_a_listener_may_name_the_user(proxy):
    assert proxy.say(b"ACL WHOAMI\r\n", "orders.app") == b"$3\r\napp\r\n"


def test_one_address_for_all_databases(proxy, server):
    proxy.serve(database(server), database(server, "carts"))
    answer = proxy.say(b"PING\r\nAUTH app@orders x\r\nACL WHOAMI\r\nAUTH app@orders y\r\nPING\r\n", "all")
    assert answer.startswith(b"-NOAUTH valkeeper: ")
    assert answer.endswith(b"\r\n+OK\r\n$3\r\napp\r\n+OK\r\n+PONG\r\n")
    assert (
        proxy.say(b"AUTH legacy@orders legacy-password\r\nACL WHOAMI\r\n", "all")
        == b"+OK\r\n$6\r\nlegacy\r\n"
    )
    other = proxy.say(b"AUTH app@orders x\r\nAUTH app@carts x\r\nPING\r\n", "all")
    assert (
        other
        == b"+OK\r\n-ERR valkeeper: this connection is to database 'orders'; connect again for 'carts'\r\n"
    )
    unknown = proxy.say(b"AUTH app@nowhere x\r\n", "all")
    assert (
        unknown == b"-ERR valkeeper: there is no database 'nowhere'; list them with: valkeeper databases\r\n"
    )
    with redis.Redis(port=proxy.port, username="app", password="x") as client:
        assert client.ping()


def test_the_previous_password_serves_while_the_current_one_is_refused(proxy, server):
    server.acl("app", "<app-current")
    with proxy.client() as client:
        assert client.ping()
    assert proxy.say(b"PING\r\nAUTH app x\r\nPING\r\n").endswith(b"\r\n+OK\r\n+PONG\r\n")
    assert not proxy.publisher.of(Rejected)


@pytest.mark.parametrize("first", [b"AUTH app x\r\n", HELLO, b"PING\r\nAUTH app x\r\n"])
def test_a_client_waits_for_the_rotator_where_both_are_refused(proxy, server, first):
    publisher = proxy.publisher
    before = publisher.directory.credentials[credential().key]
    server.acl("app", "resetpass", ">fresh")
    with proxy.socket() as sock:
        sock.sendall(first + b"ACL WHOAMI\r\n")
        report = publisher.rejected()
        assert (report.credential, report.version, report.database) == (before.key, before.version, "orders")
        publisher.update(credentials=[credential(version="fresh", current="fresh", previous="app-current")])
        sock.shutdown(1)
        assert b"".join(iter(lambda: sock.recv(4096), b"")).endswith(b"$3\r\napp\r\n")


def test_a_refusal_that_the_rotator_confirms_is_told_to_the_client(proxy, server):
    name = token()
    held = credential()
    proxy.serve(database(server, name), credentials=[held])
    server.acl("app", "resetpass", ">fresh")
    with proxy.socket(name) as sock:
        sock.sendall(b"AUTH app x\r\n")
        proxy.publisher.rejected()
        proxy.publisher.update(credentials=[held])
        assert sock.recv(4096).decode() == (
            f"-WRONGPASS valkeeper: database '{name}' refused every password known for user 'app'; "
            "look at it with: valkeeper users\r\n"
        )
    assert proxy.publisher.counters(name, lambda counts: counts.failures).failures == {"rejected": 1}


def test_without_an_answer_the_client_hears_within_the_connect_timeout(start_proxy, publisher, server):
    publisher.publish(directory(database(server), credentials=[credential()]))
    proxy = start_proxy(upstream={"connect_timeout": 0.3}).wait_for()
    server.acl("app", "resetpass", ">fresh")
    assert proxy.say(b"AUTH app x\r\n", eof=False).startswith(b"-WRONGPASS valkeeper: ")
    # In the middle of a session the database's own refusal is the answer, in its place.
    assert b"-WRONGPASS invalid" in proxy.say(b"PING\r\nAUTH app x\r\nPING\r\n")


def test_a_database_that_cannot_be_reached_is_named(proxy, server):
    nobody, down = free_port(), token()
    ca_file = str(server.ca_file)
    proxy.serve(
        database(server, down, port=nobody),
        database(server, "lost", host="no-such-host.invalid"),
        database(server, "liar", tls={"ca_file": None}),
        database(server, "misnamed", tls={"ca_file": ca_file, "server_name": "else.where"}),
        database(server, "lax", tls={"ca_file": ca_file, "server_name": "else.where", "mode": "verify-ca"}),
    )
    assert proxy.say(b"AUTH app x\r\n", down).decode() == (
        f"-ERR valkeeper: database '{down}' at localhost:{nobody} is unreachable (connection refused); "
        "check its security group, and that it is running\r\n"
    )
    assert b"its name does not resolve" in proxy.say(b"AUTH app x\r\n", "lost")
    assert b"its certificate is not trusted: " in proxy.say(b"AUTH app x\r\n", "liar")
    assert b"its certificate is not trusted: Hostname mismatch" in proxy.say(b"AUTH app x\r\n", "misnamed")
    assert proxy.say(b"AUTH app x\r\n", "lax") == b"+OK\r\n"
    assert proxy.publisher.counters(down, lambda counts: counts.failures).failures == {"refused": 1}


def test_a_stranger_is_refused(proxy, server):
    name = token()
    proxy.serve(database(server, name))
    ran = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
         "redis-cli", "-s", str(proxy.path(name)), "--user", "app", "--pass", "x", "--no-auth-warning", "PING"],
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    refusal = f"NOPERM valkeeper: uid 65534 may not use database '{name}' as user 'app'"
    assert refusal in ran.stdout + ran.stderr
    failures = proxy.publisher.counters(name, lambda counts: counts.failures).failures
    assert set(failures) == {"not_allowed"}


def test_redis_cli_works_as_it_is(proxy):
    ran = subprocess.run(
        ["redis-cli", "-s", str(proxy.path())],
        input="AUTH app x\nACL WHOAMI\nHELLO 3\n", capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    assert ran.stdout.splitlines()[:2] == ["OK", "app"]


def test_sessions_are_counted(proxy, server):
    name = token()
    proxy.serve(database(server, name))
    with proxy.client(name) as client:
        client.set(name, "v" * 1000, ex=60)
        counts = proxy.publisher.counters(name, lambda counts: counts.bytes_from_clients > 1000)
        assert (counts.connections, counts.open) == (1, 1)
        assert {stage: sum(took.buckets) for stage, took in counts.connects.items()} == {
            "dial": 1, "tls": 1, "auth": 1, "whole": 1,
        }  # fmt: skip
        took = {stage: took.seconds for stage, took in counts.connects.items()}
        assert 0 < took["dial"] < took["whole"] < 5
        assert took["whole"] == pytest.approx(took["dial"] + took["tls"] + took["auth"])
    counts = proxy.publisher.counters(name, lambda counts: counts.open == 0)
    assert counts.connections == 1

    def event(kind):
        return [found for found in proxy.events(kind) if found["database"] == name]

    [opened], [closed] = event("session opened"), eventually(lambda: event("session closed"))
    assert (opened["user"], opened["identity"]) == ("app", f"uid {os.geteuid()}")
    assert closed["bytes_from_client"] > 1000
