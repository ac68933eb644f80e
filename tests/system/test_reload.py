"""SIGHUP to the service."""

import os
import signal

from tests.system.harness import eventually, is_running, nobody_fails


def test_it_reloads_the_proxy_beside_it_and_ends_neither_of_them_nor_a_client(valkeeper):
    rotator, proxy, worker, mark = valkeeper.rotator, valkeeper.proxy, valkeeper.worker, valkeeper.mark()
    with nobody_fails(valkeeper, "app"):
        os.kill(rotator, signal.SIGHUP)
        valkeeper.wait_for_event("old workers relieved", mark)
        assert valkeeper.lets_in("batch")
    eventually(lambda: not is_running(worker), what="the old worker's end")
    assert (valkeeper.rotator, valkeeper.proxy) == (rotator, proxy)
    assert is_running(rotator)
