"""Sessions end when the password that opened them is retired, on every proxy that hears of it, and no others do."""

from datetime import UTC, datetime, timedelta

import pytest

from proxy.retirement import is_retired
from tests.proxy.proxykit import credential, database, token

KEY = credential().key
ENDED = b"-ERR valkeeper: the password that opened this connection was retired; connect again\r\n"


OLD = datetime(2025, 1, 1, 12, tzinfo=UTC)
NEW = OLD + timedelta(minutes=15)
LATER = NEW + timedelta(days=1)


def made_at(moment, retired=None):
    return credential().model_copy(update={"made": moment, "retired_before": retired})


@pytest.mark.parametrize(
    ("used", "latest", "ends"),
    [
        ({KEY: OLD}, made_at(NEW, NEW), True),
        ({KEY: None}, made_at(NEW, NEW), True),  # by a password of unknown age
        ({KEY: NEW}, made_at(NEW, NEW), False),
        ({KEY: OLD}, made_at(LATER, NEW), True),  # this proxy heard of nothing for a day
        ({KEY: NEW}, made_at(LATER, NEW), False),
        ({KEY: OLD}, made_at(NEW), False),  # an ordinary rotation
        ({KEY: NEW}, made_at(OLD, OLD), False),  # a rotator read the labels late
        ({"another": OLD}, made_at(NEW, NEW), False),
        ({}, made_at(NEW, NEW), False),  # a login of the client's own
        ({"another": NEW, KEY: OLD}, made_at(NEW, NEW), True),  # it was both
    ],
)
def test_who_has_to_end(used, latest, ends):
    assert is_retired(used, {latest.key: latest}) is ends


def test_a_credential_that_is_unknown_by_now_ends_nobody():
    assert not is_retired({KEY: OLD}, {})


@pytest.fixture
def name():
    """Of a database that no other test uses."""
    return token()


def logged_in(proxy, name, words=b"AUTH app x\r\n"):
    sock = proxy.socket(name)
    sock.sendall(words)
    assert sock.recv(100) == b"+OK\r\n"
    return sock


def rest_of(sock):
    return b"".join(iter(lambda: sock.recv(4096), b""))


def pings(sock):
    sock.sendall(b"PING\r\n")
    return sock.recv(100) == b"+PONG\r\n"


def test_the_sessions_of_a_retired_password_end_and_those_of_the_new_one_stay(proxy, server, name):
    publisher = proxy.publisher
    old, new = token(), token()
    # `app-current` is the new password; the server takes both, as it does until the old one is dropped.
    first = credential(version=old, current="app-previous", previous=None)
    first = first.model_copy(update={"made": OLD})
    proxy.serve(database(server, name), credentials=[first])
    both = credential(version=new, current="app-current", previous="app-previous")
    both = both.model_copy(update={"made": NEW, "previous_made": OLD})
    with logged_in(proxy, name) as before, logged_in(proxy, name, b"AUTH legacy legacy-password\r\n") as own:
        publisher.update(credentials=(both,))
        publisher.acknowledged(publisher.directory.version)
        with logged_in(proxy, name) as after:
            assert pings(before)  # an ordinary rotation ends nobody
            retiring = both.model_copy(update={"previous": None, "retired_before": NEW})
            publisher.update(credentials=(retiring,))
            assert rest_of(before) == ENDED
            publisher.acknowledged(publisher.directory.version)
            assert pings(after)
            assert pings(own)
            publisher.counters(name, lambda counts: counts.ends == {"retired": 1})
            # The same again, as a rotator says it that has just started.
            proxy.serve(database(server, name), credentials=[retiring])
            assert pings(after)
    with logged_in(proxy, name) as again:
        assert pings(again)
    [event] = [one for one in proxy.events("session ended") if one["database"] == name]
    assert (event["reason"], event["user"]) == ("retired", "app")


def test_a_session_let_in_by_the_previous_password_ends_and_one_that_logged_in_again_stays(
    proxy, server, name
):
    publisher = proxy.publisher
    both = credential(version=token(), current="not-yet-applied", previous="app-previous")
    both = both.model_copy(update={"made": NEW, "previous_made": OLD})
    proxy.serve(database(server, name), credentials=[both])
    with logged_in(proxy, name) as stays_old, logged_in(proxy, name) as logs_in_again:
        works = both.model_copy(update={"current": credential(current="app-current").current})
        publisher.update(credentials=(works,))
        publisher.acknowledged(publisher.directory.version)
        logs_in_again.sendall(b"AUTH app x\r\n")
        assert logs_in_again.recv(100) == b"+OK\r\n"
        publisher.update(credentials=(works.model_copy(update={"previous": None, "retired_before": NEW}),))
        assert rest_of(stays_old) == ENDED
        assert pings(logs_in_again)
