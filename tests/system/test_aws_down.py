"""Clients go on with what is known to work while AWS is away, and rotation goes on when it is back."""

import os
import signal

from tests.system.harness import nobody_fails


def test_while_aws_refuses_everything_clients_connect_and_it_is_said(valkeeper, account, sandbox):
    before, mark = account.labels("app"), valkeeper.mark()
    denied = {"code": "AccessDenied", "status": 403, "count": None}
    with nobody_fails(valkeeper, "app", "batch"):
        with sandbox.fault("*", "*", "fail", **denied):
            failed = valkeeper.run("rotate", "app", "--wait")
            valkeeper.discover()
            assert failed.returncode == 1
            assert "IAM does not allow elasticache:DescribeUsers" in failed.stdout
            assert valkeeper.user("app")["state"] == "failing"
            assert valkeeper.get("/v1/status")["ready"]
        assert account.labels("app") == before
        (done,) = valkeeper.rotate("app")
        assert done["result"] == "rotated"
        valkeeper.wait_for_event("source_recovered", mark)
    assert valkeeper.user("app")["state"] == "fresh"


def test_while_aws_hangs_clients_connect_and_a_rotation_goes_on_when_it_is_back(valkeeper, account, sandbox):
    before = account.labels("app")["AWSCURRENT"]
    with nobody_fails(valkeeper, "app", "batch") as hammer:
        os.kill(sandbox.pid, signal.SIGSTOP)
        try:
            (asked,) = valkeeper.post("/v1/rotations", {"users": ["app"]})
            hammer.wait_for(rounds=10)
            assert valkeeper.get(f"/v1/rotations/{asked['id']}")["finished_at"] is None
        finally:
            os.kill(sandbox.pid, signal.SIGCONT)
        done = valkeeper.get(f"/v1/rotations/{asked['id']}?wait=30")
        assert done["result"] == "rotated"
    assert account.labels("app")["AWSPREVIOUS"] == before


def test_a_rotator_that_starts_while_aws_is_away_takes_no_client_its_password(valkeeper, sandbox):
    """First everything is denied; then databases and users are found, and none of their secrets can be read."""
    valkeeper.kill_rotator()
    mark = valkeeper.mark()
    denied = {"code": "AccessDenied", "status": 403, "count": None}
    try:
        with (
            sandbox.fault("secretsmanager", "*", "fail", **denied),
            nobody_fails(valkeeper, "app", "batch") as hammer,
        ):
            with sandbox.fault("*", "*", "fail", **denied):
                valkeeper.start()
                valkeeper.wait_for_event("proxy_connected", mark)
                assert valkeeper.get("/v1/databases") == []
                hammer.wait_for()
            valkeeper.discover()
            valkeeper.wait_for_user("app", state="failing")
    finally:
        valkeeper.rotate("app", "batch")
