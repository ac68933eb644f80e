"""Sessions seen and ended from outside, through the real parent and its workers."""

import asyncio
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from proxy.messages import AskSessions, EndSessions, SessionRecord, SessionsPart
from proxy.rollcall import RollCall
from tests.proxy.proxykit import PATIENCE, credential, database, directory, eventually

ENDED = b"-ERR valkeeper: it is time\r\n"


@pytest.fixture
def proxy(proxy):
    """The shared proxy, once those of the test before have gone."""
    eventually(lambda: proxy.publisher.sessions() == ({}, 0), what="the end of all sessions")
    return proxy


@pytest.fixture(scope="module")
def with_two_workers(keep_proxy):
    return keep_proxy(workers=2)


@pytest.fixture
def two_workers(with_two_workers, server):
    """A proxy whose two workers are well, and have no sessions."""
    ask = with_two_workers.publisher.sessions
    eventually(lambda: len(with_two_workers.workers()) == 2 and ask() == ({}, 0), what="both workers")
    return with_two_workers


@pytest.fixture
def of_both(two_workers):
    """Logged-in clients, of each worker at least one: by session id."""
    with ExitStack() as stack:
        sockets = {}
        while len({name.split("-")[0] for name in sockets}) < 2:
            # Which worker accepts is the kernel's to say: with the one that has some asleep, it is the other.
            busy = {int(name.split("-")[0]) for name in sockets}
            for pid in busy:
                os.kill(pid, signal.SIGSTOP)
            try:
                sock = stack.enter_context(two_workers.socket())
                sock.sendall(b"AUTH app x\r\n")
                assert sock.recv(5) == b"+OK\r\n"
            finally:
                for pid in busy:
                    os.kill(pid, signal.SIGCONT)
            found, silent = two_workers.publisher.sessions()
            assert silent == 0
            [new] = found.keys() - sockets.keys()
            sockets[new] = sock
        yield sockets


def everything(sock):
    return b"".join(iter(lambda: sock.recv(4096), b""))


def only(proxy, database="orders", *, state="open"):
    """The one session of a database, once it stands so."""

    def found():
        sessions, _ = proxy.publisher.sessions()
        return [one for one in sessions.values() if (one.database, one.state) == (database, state)]

    [record] = eventually(found, what=f"a session that is {state}")
    return record


def test_the_sessions_of_all_workers_are_listed(two_workers, of_both):
    first = next(iter(of_both.values()))
    first.sendall(b"ECHO hello\r\n")
    assert first.recv(20) == b"$5\r\nhello\r\n"
    found, silent = two_workers.publisher.sessions()
    assert silent == 0
    assert found.keys() == of_both.keys()
    assert {int(name.split("-")[0]) for name in found} == set(two_workers.workers())
    for record in found.values():
        assert (record.identity, record.uid, record.pid) == (
            f"uid {os.getuid()}",
            os.getuid(),
            os.getpid(),
        )
        assert (record.database, record.user, record.state) == ("orders", "app", "open")
        assert time.time() - 60 < record.since <= time.time()
    record = found[next(iter(of_both))]
    assert (record.commands, record.bytes_from_client, record.bytes_from_database) == (1, 12, 11)
    told = {event["session"] for event in eventually(lambda: two_workers.events("session opened"))}
    assert told & found.keys()


def test_a_session_is_ended_by_its_id_and_no_other(two_workers, of_both):
    ended, kept = of_both
    found, silent = two_workers.publisher.end_sessions(ended, "1-1", "no-such")
    assert (found.keys(), silent) == ({ended}, 0)
    assert (found[ended].database, found[ended].user) == ("orders", "app")
    assert everything(of_both[ended]) == ENDED
    of_both[ended].close()
    of_both[kept].sendall(b"PING\r\n")
    assert of_both[kept].recv(7) == b"+PONG\r\n"
    eventually(lambda: two_workers.publisher.sessions()[0].keys() == {kept}, what="the session's end")


def test_a_worker_that_hangs_is_left_out_and_does_as_told_when_it_goes_on(two_workers, of_both):
    hanging, well = of_both
    pid = int(hanging.split("-")[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        with (
            ThreadPoolExecutor() as at_once
        ):  # each of the two answers takes as long as a worker is waited for
            listed = at_once.submit(two_workers.publisher.sessions)
            ended = at_once.submit(two_workers.publisher.end_sessions, hanging)
        found, silent = listed.result()
        assert (found.keys(), silent) == ({well}, 1)
        assert ended.result() == ({}, 1)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert everything(of_both[hanging]) == ENDED


def test_a_worker_that_dies_is_not_waited_for(two_workers, of_both):
    dying, well = of_both
    pid = int(dying.split("-")[0])
    os.kill(pid, signal.SIGSTOP)
    two_workers.publisher._send(AskSessions(number=0))
    eventually(lambda: [part for part in two_workers.publisher.of(SessionsPart) if part.number == 0])
    os.kill(pid, signal.SIGKILL)
    last = eventually(lambda: [p for p in two_workers.publisher.of(SessionsPart) if p.number == 0 and p.last])
    assert last[0].silent == 0


def test_the_error_comes_behind_all_outstanding_replies(proxy):
    many = 2000
    with proxy.socket() as sock:
        sock.sendall(b"AUTH app x\r\n" + b"ECHO " + b"x" * 1000 + b"\r\n" + b"PING\r\n" * many)
        proxy.publisher.end_sessions(only(proxy).id)
        assert everything(sock) == b"+OK\r\n$1000\r\n" + b"x" * 1000 + b"\r\n" + b"+PONG\r\n" * many + ENDED


def test_a_blocked_client_reads_why_it_ends(proxy):
    with proxy.socket() as sock:
        sock.sendall(b"AUTH app x\r\nPING\r\nBLPOP no-such-list 0\r\n")
        assert sock.makefile("rb", 0).readline() == b"+OK\r\n"
        assert sock.recv(7) == b"+PONG\r\n"
        proxy.publisher.end_sessions(only(proxy).id)
        assert everything(sock) == ENDED


def test_a_client_that_sends_no_more_and_does_not_read_either_can_be_ended(proxy):
    with proxy.socket() as sock:
        sock.sendall(b"AUTH app x\r\n" + b"ECHO " + b"x" * 60000 + b"\r\n")
        sock.sendall((b"ECHO " + b"x" * 60000 + b"\r\n") * 50)
        sock.shutdown(socket.SHUT_WR)
        proxy.publisher.end_sessions(only(proxy, state="ending").id)
        eventually(lambda: not proxy.publisher.sessions()[0], what="the session's end")


@pytest.mark.parametrize("said", [b"", b"*2\r\n$4\r\nAUTH\r\n"])
def test_a_client_that_has_not_said_who_it_is_is_listed_and_can_be_ended(proxy, said):
    with proxy.socket() as sock:
        sock.sendall(said)
        record = only(proxy, state="greeting")
        assert record.user is None
        assert proxy.publisher.end_sessions(record.id)[0].keys() == {record.id}
        assert everything(sock) == ENDED


def test_a_client_that_is_being_logged_in_is_ended_before_it_is_let_in(proxy, server):
    server.acl("app", "resetpass", ">fresh")
    with proxy.socket() as sock:
        sock.sendall(b"AUTH app x\r\n")
        proxy.publisher.rejected()
        record = only(proxy, state="connecting")
        proxy.publisher.end_sessions(record.id)
        proxy.publisher.update(credentials=[credential(version="fresh", current="fresh")])
        assert everything(sock) == ENDED


def test_sessions_can_be_seen_and_ended_while_the_proxy_drains(start_proxy, publisher, server):
    publisher.publish(directory(database(server), credentials=[credential()]))
    proxy = start_proxy(drain_timeout=60).wait_for()
    with proxy.socket() as sock:
        sock.sendall(b"AUTH app x\r\n")
        assert sock.recv(5) == b"+OK\r\n"
        proxy.process.send_signal(signal.SIGTERM)
        eventually(lambda: proxy.events("worker draining"))
        publisher.end_sessions(only(proxy).id)
        assert everything(sock) == ENDED
    assert proxy.process.wait(PATIENCE) == 0


def test_names_that_clients_make_up_are_fit_to_be_shown(proxy):
    with proxy.socket() as sock:
        name = b"\x1b[31m\xff" + b"n" * 5000
        sock.sendall(b"*3\r\n$4\r\nAUTH\r\n$%d\r\n%b\r\n$1\r\nx\r\n" % (len(name), name))
        record = only(proxy)
        assert record.user == "�[31m�" + "n" * 122


def test_more_sessions_than_are_said_at_once_are_all_said(proxy):
    with ExitStack() as stack:
        for _ in range(600):
            stack.enter_context(proxy.socket())
        assert eventually(lambda: len(proxy.publisher.sessions()[0]) == 600, what="600 sessions")
        parts = {}
        for part in proxy.publisher.of(SessionsPart):
            parts.setdefault(part.number, []).append(len(part.sessions))
        assert list(parts.values())[-1] == [250, 250, 100, 0]


# The call itself.


def record(name):
    return SessionRecord(
        id=name, identity="uid 0", uid=0, pid=1, database="orders", user="app", state="open", since=0.0,
        commands=0, bytes_from_client=0, bytes_from_database=0,
    )  # fmt: skip


async def test_nobody_to_ask_is_an_answer():
    heard = []
    RollCall(PATIENCE).begin(AskSessions(number=7), [], heard.append)
    assert heard == [SessionsPart(number=7, last=True)]


async def test_answers_to_two_calls_go_to_who_asked_with_the_askers_number():
    heard, roll = {1: [], 2: []}, RollCall(PATIENCE)
    first = roll.begin(AskSessions(number=5), ["a"], heard[1].append)
    second = roll.begin(EndSessions(number=5, ids=("1-1",), reason=""), ["a", "b"], heard[2].append)
    assert first.number != second.number
    part = SessionsPart(number=second.number, sessions=(record("1-1"),), last=True, silent=2)
    roll.hear("a", part)
    roll.hear("a", part)  # said twice, counted once
    roll.hear("stranger", part)
    assert heard == {1: [], 2: [SessionsPart(number=5, sessions=(record("1-1"),))]}
    roll.gone("b")
    roll.hear("a", SessionsPart(number=first.number, last=True))
    assert heard[1] == [SessionsPart(number=5, last=True)]
    assert heard[2][1:] == [SessionsPart(number=5, last=True, silent=2)]


async def test_who_does_not_answer_in_time_is_counted_and_heard_no_more():
    heard, ended = [], asyncio.Event()

    def answer(part):
        heard.append(part)
        ended.set()

    roll = RollCall(0.0)
    question = roll.begin(AskSessions(number=1), ["a", "b"], answer)
    await ended.wait()
    assert heard == [SessionsPart(number=1, last=True, silent=2)]
    roll.hear("a", SessionsPart(number=question.number, sessions=(record("1-1"),), last=True))
    assert len(heard) == 1
