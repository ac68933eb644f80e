"""Sessions end when the password that opened them is retired, on every proxy that hears of it, and no others do."""

import pytest

from proxy.retirement import is_retired
from tests.proxy.proxykit import credential, database, eventually, token

KEY = credential().key
ENDED = b"-ERR valkeeper: the password that opened this connection was retired; connect again\r\n"


def now(version, keeps=None, **changes):
    return credential(version=version, **changes).model_copy(
        update={"keeps": keeps, "previous_version": changes.get("previous_version")}
    )


@pytest.mark.parametrize(
    ("used", "latest", "ends"),
    [
        ({KEY: "v1"}, now("v2", ("v2",)), True),
        ({KEY: ""}, now("v2", ("v2",)), True),  # let in by a previous password without a name
        ({KEY: "v2"}, now("v2", ("v2",)), False),
        ({KEY: "v1"}, now("v3", ("v3", "v2")), True),  # this proxy did not hear of v2
        ({KEY: "v2"}, now("v3", ("v3", "v2")), False),
        ({KEY: "v1"}, now("v2"), False),  # an ordinary rotation
        ({"another": "v1"}, now("v2", ("v2",)), False),
        ({}, now("v2", ("v2",)), False),  # a login of the client's own
        ({"another": "v2", KEY: "v1"}, now("v2", ("v2",)), True),  # it was both
    ],
)
def test_who_has_to_end(used, latest, ends):
    assert is_retired(used, {latest.key: latest}) is ends


def test_a_credential_that_is_unknown_by_now_ends_nobody():
    assert not is_retired({KEY: "v1"}, {})


def logged_in(proxy, words=b"AUTH app x\r\n"):
    sock = proxy.socket()
    sock.sendall(words)
    assert sock.recv(100) == b"+OK\r\n"
    return sock


def rest_of(sock):
    return b"".join(iter(lambda: sock.recv(4096), b""))


def pings(sock):
    sock.sendall(b"PING\r\n")
    return sock.recv(100) == b"+PONG\r\n"


def test_the_sessions_of_a_retired_password_end_and_those_of_the_new_one_stay(start_proxy, publisher, server):
    old, new = token(), token()
    # `app-current` is the new password; the server takes both, as it does until the old one is dropped.
    first = credential(version=old, current="app-previous", previous=None)
    proxy = start_proxy().serve(database(server), credentials=[first]).wait_for()
    both = credential(version=new, current="app-current", previous="app-previous")
    with logged_in(proxy) as before, logged_in(proxy, b"AUTH legacy legacy-password\r\n") as own:
        publisher.update(credentials=(both,))
        publisher.acknowledged(publisher.directory.version)
        with logged_in(proxy) as after:
            assert pings(before)  # an ordinary rotation ends nobody
            retiring = both.model_copy(update={"previous": None, "keeps": (new,)})
            publisher.update(credentials=(retiring,))
            assert rest_of(before) == ENDED
            publisher.acknowledged(publisher.directory.version)
            assert pings(after)
            assert pings(own)
            publisher.counters("orders", lambda counts: counts.ends == {"retired": 1})
            # The same again, as a rotator says it that has just started.
            proxy.serve(database(server), credentials=[retiring])
            assert pings(after)
    with logged_in(proxy) as again:
        assert pings(again)
    [event] = eventually(lambda: proxy.events("session ended"), what="the log")
    assert (event["reason"], event["user"]) == ("retired", "app")


def test_a_session_let_in_by_the_previous_password_ends_and_one_that_logged_in_again_stays(
    start_proxy, publisher, server
):
    old, new = token(), token()
    both = credential(version=new, current="not-yet-applied", previous="app-previous")
    both = both.model_copy(update={"previous_version": old})
    proxy = start_proxy().serve(database(server), credentials=[both]).wait_for()
    with logged_in(proxy) as stays_old, logged_in(proxy) as logs_in_again:
        works = both.model_copy(update={"current": credential(current="app-current").current})
        publisher.update(credentials=(works,))
        publisher.acknowledged(publisher.directory.version)
        logs_in_again.sendall(b"AUTH app x\r\n")
        assert logs_in_again.recv(100) == b"+OK\r\n"
        publisher.update(credentials=(works.model_copy(update={"previous": None, "keeps": (new,)}),))
        assert rest_of(stays_old) == ENDED
        assert pings(logs_in_again)
