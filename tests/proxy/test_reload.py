"""SIGHUP: the proxy takes up a new version and configuration, and nobody who is connected, or waits to be, notices."""

import fcntl
import functools
import itertools
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxy.messages import Hello
from tests.proxy.proxykit import (
    PATIENCE,
    credential,
    eventually,
    free_port,
    token,
)

ENDED = b"-ERR valkeeper: it is time\r\n"
RETIRED = b"-ERR valkeeper: the password that opened this connection was retired; connect again\r\n"
OWN = b"AUTH legacy legacy-password\r\n"
GOING = b"-ERR valkeeper: the proxy is shutting down; connect again\r\n"


def logged_in(proxy, words=b"AUTH app x\r\n", replies=b"+OK\r\n"):
    """A client that said these words and was answered so."""
    sock = proxy.socket()
    sock.sendall(words)
    receive(sock, replies)
    return sock


def receive(sock, expected):
    got = b""
    while len(got) < len(expected):
        data = sock.recv(len(expected) - len(got))
        assert data, f"hung up after {got!r}"
        got += data
    assert got == expected


def pings(sock):
    sock.sendall(b"PING\r\n")
    return sock.recv(7) == b"+PONG\r\n"


def rest_of(sock):
    return b"".join(iter(lambda: sock.recv(4096), b""))


class Crowd:
    """Clients in threads, each of which does the same over and over until it is told to stop."""

    def __init__(self):
        self.rounds = {}
        self._over = threading.Event()
        self._threads = []
        self._failures = []

    def add(self, name, act):
        def go():
            try:
                while not self._over.wait(0.005):  # leaves the machine some time to reload
                    act()
                    self.rounds[name] += 1
            except (OSError, AssertionError) as error:
                self._failures.append(f"{name}: {error!r}")

        self.rounds[name] = 0
        self._threads.append(threading.Thread(target=go))
        self._threads[-1].start()

    def go_on(self):
        """Every one comes round once more."""
        before = dict(self.rounds)
        eventually(lambda: self._failures or all(self.rounds[name] > before[name] for name in before))
        assert self._failures == []

    def stop(self):
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert self._failures == []


def test_nobody_is_refused_cut_or_answered_wrongly_while_it_is_reloaded(start_reloadable, server):
    port = free_port()
    listeners = [
        {"unix": "{runtime_dir}/{database}.sock"},
        {"tcp": f"127.0.0.1:{port}", "database": "orders"},
    ]
    proxy = start_reloadable(listeners=listeners, limits={"new_per_second": None})
    key = token().encode()

    def come_and_go(connect):
        with connect() as sock:
            sock.sendall(b"AUTH app x\r\nPING\r\n")
            receive(sock, b"+OK\r\n+PONG\r\n")

    def pipeline(sock, numbers):
        sock.sendall(b"INCR %b\r\n" % key * 50)
        receive(sock, b"".join(b":%d\r\n" % next(numbers) for _ in range(50)))

    crowd = Crowd()
    with ExitStack() as stack:
        enter = stack.enter_context
        blocked = enter(logged_in(proxy, b"AUTH app x\r\nBLPOP %b-list 0\r\n" % key))
        subscribed = enter(
            logged_in(
                proxy,
                b"AUTH app x\r\nSUBSCRIBE %b\r\n" % key,
                b"+OK\r\n*3\r\n$9\r\nsubscribe\r\n$%d\r\n%b\r\n:1\r\n" % (len(key), key),
            )
        )
        busy = enter(logged_in(proxy))
        stack.callback(crowd.stop)
        crowd.add("pipeline", functools.partial(pipeline, busy, itertools.count(1)))
        by_tcp = functools.partial(socket.create_connection, ("127.0.0.1", port), PATIENCE)
        crowd.add("by path", functools.partial(come_and_go, proxy.socket))
        crowd.add("by port", functools.partial(come_and_go, by_tcp))
        [first] = eventually(proxy.workers)

        def reloaded():
            # A signal comes in every phase: while it checks, while it is replaced, while the new worker starts.
            proxy.process.send_signal(signal.SIGHUP)
            return proxy.events("proxy reloaded")

        eventually(reloaded, patience=30, what="a reload")
        proxy.hang_up()
        crowd.go_on()
        with server.client() as client:
            client.rpush(key + b"-list", "fine")
            client.publish(key, "too")
        receive(blocked, b"*2\r\n$%d\r\n%b-list\r\n$4\r\nfine\r\n" % (len(key) + 5, key))
        receive(subscribed, b"*3\r\n$7\r\nmessage\r\n$%d\r\n%b\r\n$3\r\ntoo\r\n" % (len(key), key))
    eventually(lambda: len(proxy.workers()) == 1, what="the end of the old workers")
    assert first not in proxy.workers()
    assert {event["status"] for event in proxy.events("old worker ended")} == {0}
    assert len(proxy.events("old workers relieved")) <= len(proxy.events("proxy reloaded"))
    assert not [event for event in proxy.events() if event["level"] == "error"]


def test_who_waits_is_served_by_the_new_workers_and_who_has_not_spoken_by_the_old_ones(start_reloadable):
    proxy = start_reloadable()
    [old] = eventually(proxy.workers)
    with proxy.socket() as silent:
        eventually(lambda: proxy.publisher.sessions()[0], what="the session")
        os.kill(old, signal.SIGSTOP)
        try:
            with proxy.socket() as waiting:
                for sock in (waiting, silent):
                    sock.sendall(b"AUTH app x\r\nPING\r\n")
                proxy.process.send_signal(signal.SIGHUP)
                receive(waiting, b"+OK\r\n+PONG\r\n")
        finally:
            os.kill(old, signal.SIGCONT)
        receive(silent, b"+OK\r\n+PONG\r\n")
    eventually(lambda: proxy.events("old worker ended"))


def test_what_would_not_start_changes_nothing_and_what_would_is_served(start_reloadable):
    gone, changed, new = (free_port() for _ in range(3))

    def listeners(*ports, **more):
        return [
            {"unix": "{runtime_dir}/{database}.sock"},
            *({"tcp": f"127.0.0.1:{port}"} | more for port in ports),
        ]

    def say_at(port):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
            sock.sendall(b"AUTH app x\r\n")
            sock.shutdown(socket.SHUT_WR)
            return rest_of(sock)

    proxy = start_reloadable(listeners=listeners(gone, changed))
    workers = eventually(proxy.workers)
    proxy.configure(workers=0)
    event = proxy.hang_up("reload failed, the proxy goes on as before")
    assert event["error"].startswith(
        "valkeeper: proxy.workers: 0: Input should be greater than or equal to 1"
    )
    assert say_at(changed).startswith(b"-NOAUTH valkeeper: this address serves every database")
    assert proxy.workers() == workers

    with socket.create_server(("127.0.0.1", 0)) as somebody_elses:
        taken = somebody_elses.getsockname()[1]
        proxy.configure(workers=2, listeners=listeners(changed, new, taken, database="orders"))
        proxy.hang_up()
        assert len(eventually(lambda: set(proxy.workers()) - set(workers))) == 2
        assert proxy.events("listener failed")[0]["error"].endswith(
            f"127.0.0.1:{taken}: Address already in use"
        )
    assert [event["address"] for event in proxy.events("listener closed")] == [f"127.0.0.1:{gone}"]
    eventually(lambda: proxy.events("old worker ended"), what="the end of the old worker")
    assert say_at(changed) == say_at(new) == b"+OK\r\n"
    with pytest.raises(ConnectionRefusedError):
        say_at(gone)


def test_old_workers_are_told_asked_counted_and_drained_as_before(start_reloadable, publisher):
    made, later = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 2, tzinfo=UTC)
    proxy = start_reloadable()
    key = credential(version=token()).model_copy(update={"made": made})
    publisher.update(credentials=(key,))
    publisher.acknowledged(publisher.directory.version)
    with logged_in(proxy) as killed, logged_in(proxy) as retired, logged_in(proxy, OWN) as stays:
        names = sorted(publisher.sessions()[0])
        publisher.messages.clear()
        proxy.hang_up()
        [hello] = eventually(lambda: publisher.of(Hello), what="the proxy's greeting")
        assert (hello.pid, hello.started_at < time.time() - 0.1) == (proxy.process.pid, True)
        with logged_in(proxy) as new:
            publisher.counters("orders", lambda counts: (counts.open, counts.connections) == (4, 4))
            found, silent = publisher.sessions()
            assert (len(found), silent) == (4, 0)
            assert set(names) < found.keys()
            assert publisher.end_sessions(names[0])[0].keys() == {names[0]}
            assert rest_of(killed) == ENDED
            publisher.update(credentials=(key.model_copy(update={"made": later, "retired_before": later}),))
            assert rest_of(retired) == rest_of(new) == RETIRED
            assert pings(stays)
            with (proxy.settings.control_dir / "proxy.lock").open() as lock, pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            for what in ("cmdline", "environ"):
                assert b"app-current" not in Path(f"/proc/{proxy.process.pid}/{what}").read_bytes()
            with logged_in(proxy) as newest:
                proxy.process.send_signal(signal.SIGTERM)
                assert rest_of(stays) == rest_of(newest) == GOING
    ends = {"killed": 1, "retired": 2, "drained": 2}
    publisher.counters("orders", lambda counts: (counts.connections, counts.ends) == (5, ends))
    assert proxy.process.wait(PATIENCE) == 0
