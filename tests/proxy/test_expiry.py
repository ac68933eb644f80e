"""Credentials that end: tokens of IAM users, which are never sent once their time is over.

The real Redis knows no tokens: it takes as a password whatever a test gives it, so it would let an expired one in.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from proxy.access import Policy
from proxy.floor import Floor
from proxy.messages import Rejected
from proxy.resp import encode
from proxy.settings import ProxySettings, WorkerSettings
from tests.proxy.proxykit import credential, database, iam_credential, token

OVER = timedelta(seconds=-1)
HELLO = encode((b"HELLO", b"3", b"AUTH", b"app", b"x", b"SETNAME", b"me"))


def serve(proxy, server, held, name="orders"):
    """Have the proxy log `app` in with this."""
    return proxy.serve(database(server, name, users={"app": held.key}), credentials=[held])


def rest(sock):
    sock.shutdown(1)
    return b"".join(iter(lambda: sock.recv(4096), b""))


@pytest.fixture(scope="module")
def hasty(keep_proxy):
    """A proxy that gives up on databases and its rotator soon."""
    return keep_proxy(upstream={"connect_timeout": 0.3})


@pytest.mark.parametrize("login", [b"AUTH app x\r\n", HELLO])
def test_a_token_logs_in_whatever_it_is_made_of_and_however_long_it_is(proxy, server, login):
    long = "orders/?Action=connect&User=app&X-Amz-Security-Token=" + "a%2Fb%2B" * 300 + "&X-Amz-Signature=0"
    server.acl("app", "resetpass", ">" + long)
    serve(proxy, server, iam_credential(long))
    answer = proxy.say(login + b"ACL WHOAMI\r\nAUTH app y\r\nCLIENT GETNAME\r\n")
    assert answer.startswith(b"+OK\r\n" if login is not HELLO else b"%7\r\n")
    assert answer.endswith(b"$3\r\napp\r\n+OK\r\n" + (b"$-1\r\n" if login is not HELLO else b"$2\r\nme\r\n"))


@pytest.mark.parametrize("login", [b"AUTH app x\r\n", HELLO])
def test_a_client_waits_for_a_fresh_token_where_the_one_held_has_expired(proxy, server, login):
    held = iam_credential("app-current", lives=OVER)
    serve(proxy, server, held)
    with proxy.socket() as sock:
        sock.sendall(login + b"ACL WHOAMI\r\n")
        report = proxy.publisher.rejected()
        assert (report.credential, report.version, report.database) == (held.key, held.version, "orders")
        server.acl("app", "<app-current", ">fresh")  # nothing but the fresh one gets in from here on
        proxy.publisher.update(credentials=[iam_credential("fresh")])
        assert rest(sock).endswith(b"$3\r\napp\r\n")
    [event] = [one for one in proxy.events("credential expired") if one["version"] == held.version]
    assert event["credential"] == held.key


def test_an_expired_token_is_not_sent_even_where_nothing_better_comes(hasty, server):
    held = iam_credential("app-current", lives=OVER)
    serve(hasty, server, held)
    assert hasty.say(b"AUTH app x\r\n", eof=False).decode() == (
        "-WRONGPASS valkeeper: the token of user 'app' for database 'orders' expired at "
        f"{held.expires_at:%Y-%m-%d %H:%M:%S} UTC, and the rotator gives no fresh one; "
        "look at it with: valkeeper users; and see that valkeeper serve is running\r\n"
    )
    assert hasty.publisher.counters("orders", lambda counts: counts.failures).failures == {"expired": 1}


def test_an_expired_token_that_the_rotator_sends_again_is_told_to_the_client(proxy, server):
    name = token()
    held = iam_credential("app-current", lives=OVER, database=name)
    serve(proxy, server, held, name)
    with proxy.socket(name) as sock:
        sock.sendall(b"AUTH app x\r\n")
        proxy.publisher.rejected()
        proxy.publisher.update(credentials=[held])
        assert sock.recv(4096).startswith(b"-WRONGPASS valkeeper: the token of user 'app' for database")
    assert len(proxy.publisher.of(Rejected)) == 1


def test_a_refused_token_is_reported_once_and_its_successor_lets_the_client_in(proxy, server):
    held = iam_credential("no-such-token")
    serve(proxy, server, held)
    with proxy.socket() as sock:
        sock.sendall(b"AUTH app x\r\nACL WHOAMI\r\n")
        assert proxy.publisher.rejected().version == held.version
        proxy.publisher.update(credentials=[iam_credential("app-current")])
        assert rest(sock) == b"+OK\r\n$3\r\napp\r\n"
    assert len(proxy.publisher.of(Rejected)) == 1


def test_a_fresh_token_that_is_refused_too_ends_the_waiting(proxy, server):
    name = token()
    serve(proxy, server, iam_credential("no-such-token", database=name), name)
    with proxy.socket(name) as sock:
        sock.sendall(b"AUTH app x\r\n")
        proxy.publisher.rejected()
        proxy.publisher.update(credentials=[iam_credential("nor-such", database=name)])
        assert sock.recv(4096).decode() == (
            f"-WRONGPASS valkeeper: database '{name}' refused the token of user 'app'; "
            "look at it with: valkeeper users\r\n"
        )
    assert len(proxy.publisher.of(Rejected)) == 1


def test_inside_a_session_a_token_that_has_expired_since_it_logged_in_is_not_sent(hasty, server):
    """The session stays who it was, as in Redis, and can log in again once there is a fresh token."""
    held = iam_credential("app-current")
    serve(hasty, server, held)
    with hasty.socket() as sock:
        sock.sendall(b"AUTH app x\r\n")
        assert sock.recv(5) == b"+OK\r\n"
        over = iam_credential("app-current", lives=OVER, version=held.version)  # vouched for, by its version
        serve(hasty, server, over)
        sock.sendall(b"PING\r\nAUTH app x\r\nACL WHOAMI\r\n")
        assert hasty.publisher.rejected().version == held.version
        text = b""
        while not text.endswith(b"app\r\n"):
            text += sock.recv(4096)
        assert text.startswith(b"+PONG\r\n-WRONGPASS invalid username-password pair")
        serve(hasty, server, iam_credential("app-current"))
        sock.sendall(b"AUTH app x\r\n")
        assert sock.recv(5) == b"+OK\r\n"


def test_inside_a_session_a_fresh_token_serves_the_waiting_login(proxy, server):
    serve(proxy, server, iam_credential("app-current", lives=OVER))
    with proxy.socket() as sock:
        sock.sendall(b"PING\r\nAUTH app x\r\nACL WHOAMI\r\n")
        proxy.publisher.rejected()
        proxy.publisher.update(credentials=[iam_credential("app-current")])
        assert rest(sock) == b"-NOAUTH Authentication required.\r\n+OK\r\n$3\r\napp\r\n"


async def test_a_token_is_vouched_for_until_it_expires_by_the_wall_clock():
    now, wall = 0.0, datetime(2026, 1, 1, tzinfo=UTC)
    settings = WorkerSettings.of(ProxySettings())
    reports = []
    floor = Floor(settings, Policy(0, 0), lambda *told: reports.append(told), lambda: now, lambda: wall)
    held = iam_credential("any").model_copy(update={"expires_at": wall + timedelta(seconds=30)})
    floor.vouch("orders", held)
    now, wall = 29.0, wall + timedelta(seconds=29)
    assert floor.is_vouched("orders", held)
    now, wall = 30.0, wall + timedelta(seconds=1)
    assert not floor.is_vouched("orders", held)
    floor.vouch("orders", credential())
    assert floor.is_vouched("orders", credential()), "a password does not expire"
    with floor.news(held, "orders") as first, floor.news(held, "orders") as second:
        assert reports == [(held, "orders")]
        floor.replace(floor.directory.model_copy(update={"credentials": {held.key: held}}))
        await asyncio.gather(first, second)
