"""Processes that are killed, and the orderly end."""

import os
import signal
import socket
from types import SimpleNamespace

import pytest

from tests.system.harness import LOST_AT_RESTART, eventually, is_running, nobody_fails


@LOST_AT_RESTART
def test_clients_never_notice_that_the_rotator_was_killed_and_came_back(valkeeper):
    proxy, worker = valkeeper.proxy, valkeeper.worker
    with nobody_fails(valkeeper, "app", "batch") as hammer:
        valkeeper.kill_rotator()
        hammer.wait_for(rounds=5)
        mark = valkeeper.mark()
        valkeeper.start()
        valkeeper.wait_for_event("proxy_connected", mark)
        hammer.wait_for(rounds=5)
        (done,) = valkeeper.rotate("app")
        assert done["result"] == "rotated"
    assert (valkeeper.proxy, valkeeper.worker) == (proxy, worker)
    assert not valkeeper.events("proxy_started", mark)


@LOST_AT_RESTART
def test_clients_get_in_while_a_new_rotator_may_read_no_secret(valkeeper, sandbox):
    valkeeper.kill_rotator()
    denied = {"code": "AccessDeniedException", "status": 400, "count": None}
    try:
        with sandbox.fault("secretsmanager", "*", "fail", **denied), nobody_fails(valkeeper, "app", "batch"):
            mark = valkeeper.mark()
            valkeeper.start()
            valkeeper.wait_for_event("proxy_connected", mark)
            valkeeper.wait_for_user("app", state="failing")
    finally:
        valkeeper.rotate("app", "batch")


def test_a_second_rotator_with_the_same_folder_is_refused(valkeeper):
    second = valkeeper.run("serve")
    assert second.returncode == 1
    assert "a rotator is already running" in second.stderr
    valkeeper.get("/v1/status")


def test_a_killed_worker_is_replaced_and_clients_wait_in_the_socket_meanwhile(valkeeper):
    worker = valkeeper.worker
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: not is_running(worker), what="the worker's end")
    with nobody_fails(valkeeper, "app"):
        assert valkeeper.lets_in("batch")
        assert valkeeper.worker != worker


def test_a_killed_proxy_is_started_again(valkeeper):
    proxy, worker, mark = valkeeper.proxy, valkeeper.worker, valkeeper.mark()
    os.kill(proxy, signal.SIGKILL)
    eventually(lambda: not is_running(worker), what="the orphaned worker's end")
    started = valkeeper.wait_for_event("proxy_started", mark)
    valkeeper.wait_for_clients("app", "batch")
    assert valkeeper.proxy == started["pid"] != proxy


@pytest.fixture(scope="module")
def ended(shared):
    """What was left when SIGTERM had ended a rotator that had found its proxy, and a client had a connection open."""
    shared.kill_rotator()
    mark = shared.mark()
    shared.start()
    shared.wait_for_event("proxy_connected", mark)
    shared.wait_for_clients("app")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(shared.socket("orders")))
        client.sendall(b"AUTH app x\r\n")
        assert client.recv(100) == b"+OK\r\n"
        status = shared.stop()
        last_words = client.recv(1000)
    eventually(lambda: shared.processes() == {}, what="the proxy's end")
    sockets = list(shared.runtime_dir.rglob("*.sock"))
    events = shared.events(since=mark)
    shared.start().wait_for_clients("app", "batch")
    return SimpleNamespace(
        last_words=last_words, status=status, sockets=sockets, events=[event["event"] for event in events]
    )


def test_sigterm_ends_rotator_and_proxy_and_takes_the_sockets_away(ended):
    assert ended.status == 0
    assert ended.sockets == []
    assert "proxy stopped" in ended.events
    assert ended.last_words == b"-ERR valkeeper: the proxy is shutting down; connect again\r\n"


@pytest.mark.xfail(
    strict=True,
    reason="the rotator does not wait for a proxy that an earlier rotator started (and for its own only"
    " drain_timeout + 2 s, which a drain with an open connection takes by itself)",
)
def test_the_rotator_ends_after_its_proxy(ended):
    assert ended.events.index("proxy stopped") < ended.events.index("service_stopped")
