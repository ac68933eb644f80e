"""A rotator that stands still with a ModifyUser in the air: what it writes too late is healed, by whoever looks first.

ModifyUser has no compare-and-set, so AWS takes such a write, and the password that everybody logs in with is gone.
"""

import os
import signal

import pytest

from tests.system.harness import Valkeeper, eventually


@pytest.fixture(scope="module")
def rival(shared, account):
    """Another instance of the same account, with a proxy of its own."""
    with Valkeeper(account.settings()) as other:
        yield other.wait_for_clients("app")


@pytest.fixture
def overwritten(valkeeper, rival, account, sandbox):
    """A user whose passwords `valkeeper`, which stands still, sets to what they were two rotations ago."""
    user, _ = account.new_user()
    for one in (valkeeper, rival):
        one.discover()
        one.wait_for_user(user, state="fresh")
    try:
        with sandbox.fault(
            "elasticache", "ModifyUser", "hold", when="before", match=f"UserId={user}&"
        ) as held:
            valkeeper.post("/v1/rotations", {"users": [user]})
            held.wait()
            os.kill(valkeeper.rotator, signal.SIGSTOP)
            for _ in range(3):  # the first takes up what was staged
                [done] = rival.rotate(user)
                assert done["result"] == "rotated"
            assert account.password(user) in account.passwords(user)
        eventually(lambda: account.password(user) not in account.passwords(user), what="the stale write")
        yield user
    finally:
        os.kill(valkeeper.rotator, signal.SIGCONT)


def test_the_writer_heals_it_when_it_runs_again(valkeeper, overwritten, account):
    mark = valkeeper.mark()
    os.kill(valkeeper.rotator, signal.SIGCONT)
    valkeeper.wait_for_event("password_healed", mark)
    eventually(lambda: account.password(overwritten) in account.passwords(overwritten), what="the healing")
    assert valkeeper.lets_in(overwritten)


def test_another_instance_heals_it_and_its_client_waits_for_that(rival, overwritten, account):
    mark = rival.mark()
    assert rival.lets_in(overwritten)
    rival.wait_for_event("password_healed", mark)
    assert account.password(overwritten) in account.passwords(overwritten)
