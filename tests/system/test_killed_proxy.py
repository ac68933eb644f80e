"""A proxy whose processes are killed; what becomes of clients when the rotator is, stands in `test_half_way`."""

import os
import signal

from tests.system.harness import eventually, is_running, nobody_fails


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
