"""Who is connected, and how an operator ends that, through the command line and the API."""

import json
import os
import pwd
import signal

import pytest
import redis

from tests.system.harness import eventually

ME = pwd.getpwuid(os.geteuid()).pw_name


def listed(valkeeper, *options):
    """The sessions that the command line lists, and its exit code."""
    done = valkeeper.run("sessions", "--json", *options)
    return json.loads(done.stdout)["sessions"], done.returncode


@pytest.fixture
def client(valkeeper):
    """A client that stays connected as `app`, and the id of its session."""
    # Those of earlier tests are gone before this one's comes.
    eventually(lambda: not valkeeper.get("/v1/sessions")["sessions"], what="the end of all sessions")
    # One connection: a pool would see that it has ended, and open another.
    with valkeeper.client("app", single_connection_client=True) as client:
        client.set("seen", "x" * 20_000)
        [session] = valkeeper.get("/v1/sessions")["sessions"]
        client.session = session["id"]
        yield client


def test_sessions_are_listed_for_people_and_for_scripts(valkeeper, client):
    [session], code = listed(valkeeper)
    assert code == 0
    assert session["id"] == client.session
    assert (session["who"], session["uid"], session["pid"]) == (ME, os.geteuid(), os.getpid())
    assert (session["database"], session["user"], session["state"]) == ("orders", "app", "open")
    assert session["bytes_from_client"] > 20_000
    done = valkeeper.run("sessions")
    heading, row = done.stdout.splitlines()
    assert heading.split() == ["SESSION", "WHO", "DATABASE", "USER", "OPEN", "FOR", "COMMANDS", "IN", "OUT"]
    assert row.split()[:6] == [client.session, ME, "(pid", f"{os.getpid()})", "orders", "app"]
    assert "20 kB" in row


def test_sessions_are_chosen_by_database_and_user(valkeeper, client):
    assert [one["id"] for one in listed(valkeeper, "--database", "orders", "--user", "app")[0]] == [
        client.session
    ]
    assert listed(valkeeper, "--database", "orders-reader")[0] == []
    assert listed(valkeeper, "--user", "batch")[0] == []


def test_a_client_reads_who_ended_its_session_and_why_and_can_come_back(valkeeper, client):
    mark = valkeeper.mark()
    done = valkeeper.run("kill", client.session, "--reason", "the migration begins")
    assert (done.returncode, done.stdout) == (0, f"ended session {client.session}\n")
    with pytest.raises(redis.ResponseError) as caught:
        client.ping()
    assert str(caught.value) == "valkeeper: an operator ended this session: the migration begins"
    event = valkeeper.wait_for_event("session_killed", mark, session=client.session)
    assert event["asked_by"].startswith(f"uid {os.geteuid()} (pid ")
    assert (event["database"], event["user"]) == ("orders", "app")
    assert event["reason"] == "the migration begins"
    assert valkeeper.lets_in("app")


def test_a_pooled_client_that_was_idle_connects_again_by_itself(valkeeper, client):
    with valkeeper.client("app") as pooled:
        pooled.set("seen", "x")
        [other] = {one["id"] for one in valkeeper.get("/v1/sessions")["sessions"]} - {client.session}
        assert valkeeper.run("kill", other).returncode == 0
        assert pooled.ping()
    assert client.ping()


def test_a_reason_is_not_needed(valkeeper, client):
    assert valkeeper.ask("DELETE", f"/v1/sessions/{client.session}") == (
        200,
        json.dumps({"ended": [client.session]}, separators=(",", ":")),
    )
    with pytest.raises(redis.ResponseError) as caught:
        client.ping()
    assert str(caught.value) == "valkeeper: an operator ended this session"


def test_of_several_sessions_those_that_are_there_are_ended_and_the_exit_code_says_so(valkeeper, client):
    done = valkeeper.run("kill", "1-1", client.session, "a/b?c")
    assert done.returncode == 1
    assert done.stdout == f"ended session {client.session}\n"
    assert "valkeeper: there is no session 1-1; list them with: valkeeper sessions\n" in done.stderr
    assert valkeeper.run("kill", "1-1", "--reason", "x" * 201).returncode == 2


def test_a_worker_that_hangs_is_said_to_be_missing(valkeeper, client):
    os.kill(valkeeper.worker, signal.SIGSTOP)
    try:
        done = valkeeper.run("sessions")
    finally:
        os.kill(valkeeper.worker, signal.SIGCONT)
    assert done.returncode == 1
    assert "1 of the proxy's workers did not answer in time; their sessions are missing" in done.stderr


def test_without_a_service_there_is_nobody_to_ask(valkeeper, tmp_path):
    for arguments in (("sessions",), ("kill", "1-1")):
        done = valkeeper.run(*arguments, "--runtime-dir", str(tmp_path))
        assert done.returncode == 3
        assert "is `valkeeper serve` running" in done.stderr


def test_retiring_a_password_ends_the_sessions_it_opened_and_no_client_is_refused(valkeeper, client):
    """For a password that leaked: it is dropped at once, and whoever is connected by it has to come back."""
    before = valkeeper.wait_for_user("app", state="fresh")["version"]
    done = valkeeper.run("rotate", "app", "--retire", "--wait")
    assert done.returncode == 0, done.stderr
    with pytest.raises(redis.ResponseError) as caught:
        client.ping()
    assert (
        str(caught.value) == "valkeeper: the password that opened this connection was retired; connect again"
    )
    assert valkeeper.user("app")["version"] != before
    with valkeeper.client("app", single_connection_client=True) as stays:
        assert stays.ping()
        assert valkeeper.run("rotate", "app", "--wait").returncode == 0
        assert stays.ping()
