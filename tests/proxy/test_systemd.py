"""Listening sockets from systemd, and news for it, as sd_listen_fds(3) and sd_notify(3) describe them."""

import contextlib
import os
import signal
import socket
import sys

import pytest

from proxy import systemd
from tests.proxy.proxykit import PATIENCE, eventually, free_port

# What systemd does between fork and exec.
ACTIVATE = """
import fcntl, os, sys
count = int(sys.argv[1])
given = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[2 : 2 + count]]
for number, descriptor in enumerate(given, 3):
    os.dup2(descriptor, number)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": ":".join("x" * count)}
os.execv(sys.argv[2 + count], sys.argv[2 + count :])
"""


@pytest.fixture
def news(short_dir):
    """What systemd is told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(short_dir / "notify"))
        sock.settimeout(PATIENCE)
        yield lambda: sock.recv(4096).decode().split("\n")


def ask(family, where):
    with socket.socket(family) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(where)
        return said(sock)


def said(sock):
    sock.sendall(b"AUTH app x\r\n")
    sock.shutdown(socket.SHUT_WR)
    return b"".join(iter(lambda: sock.recv(4096), b""))


def test_sockets_of_systemd_are_served_through_reloads_and_left_in_place(start_reloadable, short_dir, news):
    path, port = short_dir / "orders.sock", free_port()
    with contextlib.ExitStack() as stack:
        by_path = stack.enter_context(socket.socket(socket.AF_UNIX))
        by_path.bind(str(path))
        by_path.listen()
        inode = path.stat().st_ino
        by_port, unused = (
            stack.enter_context(socket.create_server(("127.0.0.1", number))) for number in (port, 0)
        )
        no_listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        # One that waits since before there was a proxy: it is what started it.
        early = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        numbers = [sock.fileno() for sock in (by_path, no_listener, by_port, unused)]
        proxy = start_reloadable(
            before=[sys.executable, "-S", "-c", ACTIVATE, str(len(numbers)), *map(str, numbers)],
            process={
                "pass_fds": numbers,
                "env": os.environ | {"NOTIFY_SOCKET": str(short_dir / "notify")},
            },
            listeners=[
                {"unix": "{runtime_dir}/{database}.sock"},
                {"tcp": f"localhost:{port}", "database": "orders"},
            ],
        )
        assert news() == ["READY=1", "STATUS=serving"]
        assert said(early) == b"+OK\r\n"
        for name in ("first", "reloaded"):
            assert ask(socket.AF_UNIX, str(path)) == b"+OK\r\n", name
            assert ask(socket.AF_INET, ("127.0.0.1", port)) == b"+OK\r\n", name
            assert path.stat().st_ino == inode
            if name == "first":
                proxy.hang_up()
                reloading, since = news()
                assert (reloading, since.split("=")[0]) == ("RELOADING=1", "MONOTONIC_USEC")
                assert news() == ["READY=1", "STATUS=serving"]
                proxy.configure(workers=0)
                proxy.hang_up("reload failed, the proxy goes on as before")
                assert news()[0] == "RELOADING=1"
                assert news() == ["READY=1", "STATUS=serving as before a reload that failed; see the log"]
        [left_alone] = proxy.events("socket from systemd left alone: it does not listen on a path or a port")
        assert left_alone["number"] == 4
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        unused_events = eventually(
            lambda: proxy.events(
                "socket from systemd not used: no listener of the configuration has its address"
            )
        )
        assert {event["address"] for event in unused_events} == {address}
        proxy.process.send_signal(signal.SIGTERM)
        assert news() == ["STOPPING=1", "STATUS=draining"]
        assert proxy.process.wait(PATIENCE) == 0
        assert path.stat().st_ino == inode
        # systemd holds them on: who comes now waits for the next proxy.
        stack.enter_context(socket.create_connection(("127.0.0.1", port)))


def test_sockets_for_another_process_are_not_taken(monkeypatch):
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert systemd.take_sockets() == ()
    assert "LISTEN_FDS" not in os.environ


def test_news_for_nobody_are_no_failure(monkeypatch, tmp_path):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    systemd.notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0valkeeper-{os.getpid()}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@valkeeper-{os.getpid()}")
        systemd.notify("READY=1", "STATUS=fine")
        assert sock.recv(100) == b"READY=1\nSTATUS=fine"
