"""Sessions of assumed roles and of an instance profile, against the sandbox's STS."""

import asyncio
import itertools
import json
import os
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from discovery.aws import Sessions
from discovery.errors import AccessDeniedError, CredentialsError, RetryableError, ThrottledError
from discovery.model import Place, Role

OTHER = "222233334444"
THIRD = "333344445555"
EXTERNAL_ID = "canary-external-7f3a"
_numbers = itertools.count(1)


@pytest.fixture
def sessions(sandbox, monkeypatch):
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    opened = Sessions()
    yield opened
    opened.close()


@pytest.fixture
def lifetime(sandbox):
    """Says how long sessions live, until the test is over."""
    yield sandbox.set_session_lifetime
    sandbox.set_session_lifetime(None)


@pytest.fixture
def role(sandbox):
    """Makes a role of another account that trusts the sandbox's own, and wants an ExternalId."""

    def make(account=OTHER, external_id=EXTERNAL_ID):
        owner = sandbox.open_account(account)
        name = f"valkeeper-{os.getpid()}-{next(_numbers)}"
        return Role(owner.create_role(name, trusted=sandbox.account, external_id=external_id), external_id)

    return make


def calls_since(sandbox, before):
    return Counter(f"{one['service']}.{one['operation']}" for one in sandbox.requests(before))


def last_request(sandbox):
    return max((one["sequence"] for one in sandbox.requests()), default=0)


async def test_a_role_is_assumed_once_for_all_regions_and_every_call_is_the_roles(sessions, sandbox, role):
    one = role()
    before = last_request(sandbox)
    east, west = await asyncio.gather(sessions.open("us-east-1", one), sessions.open("us-west-2", one))
    assert await sessions.open("us-east-1", one) is east
    assert (east.place, west.place) == (Place(OTHER, "us-east-1"), Place(OTHER, "us-west-2"))
    own = await sessions.open("us-east-1")
    assert own.place == Place(sandbox.account, "us-east-1")
    assert calls_since(sandbox, before) == {"sts.AssumeRole": 1, "sts.GetCallerIdentity": 3}

    before = last_request(sandbox)
    await west.call("elasticache", "describe_users")
    [request] = sandbox.requests(before)
    assert (request["account"], request["region"]) == (OTHER, "us-west-2")
    signed_with = await west.credentials()
    assert request["access_key_id"] == signed_with.access_key_id == (await east.credentials()).access_key_id
    assert signed_with.session_token is not None
    assert signed_with.expires_at is not None
    left = signed_with.expires_at - datetime.now(UTC)
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert (await own.credentials()).expires_at is None


async def test_what_sts_was_told_names_the_service(sessions, sandbox, role):
    session = await sessions.open("us-east-1", role())
    assert (await session.call("sts", "get_caller_identity"))["Arn"].endswith("/valkeeper")


@pytest.mark.parametrize("said", [None, "somebody-elses"])
async def test_a_wrong_external_id_is_a_denial_that_says_what_to_check(sessions, role, said):
    asked = role()._replace(external_id=said)
    with pytest.raises(AccessDeniedError) as caught:
        await sessions.open("us-east-1", asked)
    assert caught.value.operation == "sts:AssumeRole"
    message = str(caught.value)
    for part in (asked.arn, "trust policy", ":user/valkeeper", "external_id", "allows sts:AssumeRole on it"):
        assert part in message
    assert ("not set" in message) is (said is None)
    assert "somebody-elses" not in message
    assert EXTERNAL_ID not in message


async def test_a_role_that_is_mended_opens_at_the_next_attempt(sessions, sandbox, role):
    asked = role()
    denied = {"action": "fail", "code": "AccessDenied", "status": 403}
    with sandbox.fault("sts", "AssumeRole", **denied), pytest.raises(AccessDeniedError):
        await sessions.open("us-east-1", asked)
    assert (await sessions.open("us-east-1", asked)).place.account == OTHER


async def test_keys_roll_over_without_a_failed_call_and_tell_their_own_end(sessions, lifetime, role):
    session = await sessions.open("us-east-1", role())
    lifetime(5)
    # What was opened with lives for an hour, so a role of its own is assumed anew.
    fresh = await sessions.open("us-east-1", role())
    keys = {}
    for _ in range(3):
        await fresh.call("elasticache", "describe_users")
        await fresh.mutate("secretsmanager", "list_secrets")
        credentials = await fresh.credentials()
        keys[credentials.access_key_id] = credentials.expires_at
        assert credentials.expires_at is not None
        assert datetime.now(UTC) < credentials.expires_at <= datetime.now(UTC) + timedelta(seconds=5)
    assert len(keys) == 3
    assert (await session.credentials()).access_key_id not in keys


async def test_many_calls_at_once_while_keys_roll_over(sessions, lifetime, role):
    lifetime(2)
    session = await sessions.open("us-east-1", role())
    async with asyncio.TaskGroup() as group:
        reads = [group.create_task(session.call("elasticache", "describe_users")) for _ in range(16)]
        group.create_task(session.credentials())
    assert all("Users" in read.result() for read in reads)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ({"action": "fail", "code": "AccessDenied", "status": 403}, AccessDeniedError, "trust policy"),
        ({"action": "fail", "code": "InternalFailure", "status": 500}, RetryableError, "InternalFailure"),
        ({"action": "throttle"}, ThrottledError, "throttled"),
        ({"action": "lose"}, RetryableError, "no answer"),
        (
            {"action": "fail", "code": "ExpiredToken", "status": 403},
            CredentialsError,
            "Valkeeper's credentials",
        ),
    ],
)
async def test_a_refresh_that_fails_is_stss_failure_and_not_the_calls(
    sessions, sandbox, lifetime, role, fault, kind, said
):
    lifetime(5)
    asked = role()
    session = await sessions.open("us-east-1", asked)
    with sandbox.fault("sts", "AssumeRole", count=None, **fault):
        for attempt in (session.call("elasticache", "describe_users"), session.credentials()):
            with pytest.raises(kind) as caught:
                await attempt
            assert type(caught.value) is kind
            assert caught.value.operation == "sts:AssumeRole"
            assert asked.arn in str(caught.value)
            assert said in str(caught.value)
            assert "DescribeUsers" not in str(caught.value)
    assert "Users" in await session.call("elasticache", "describe_users")


async def test_an_sts_that_is_away_for_minutes_stops_nothing(sessions, sandbox, lifetime, role):
    """botocore would stop ten minutes before the end; it tries from fifteen minutes before."""
    lifetime(9 * 60)
    session = await sessions.open("us-east-1", role())
    known = await session.credentials()
    denied = {"action": "fail", "code": "AccessDenied", "status": 403, "count": None}
    with sandbox.fault("sts", "AssumeRole", **denied) as fault:
        assert "Users" in await session.call("elasticache", "describe_users")
        assert await session.credentials() == known
        assert fault.hit >= 2
    assert (await session.credentials()).access_key_id != known.access_key_id


async def test_a_session_that_is_over_at_once_says_what_is_wrong_with_the_clock(sessions, lifetime, role):
    lifetime(0)
    with pytest.raises(CredentialsError, match="clock"):
        await sessions.open("us-east-1", role())


async def test_where_sts_hangs_for_one_role_other_roles_and_regions_go_on(sessions, sandbox, role):
    hanging, other = role(), role(THIRD)
    name = hanging.arn.rpartition("/")[2]
    with sandbox.fault("sts", "AssumeRole", "hold", match=name) as fault:
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(sessions.open("us-east-1", hanging))
            await asyncio.to_thread(fault.wait)
            assert (await sessions.open("us-east-1", other)).place.account == THIRD
            assert (await sessions.open("us-east-1")).place.account == sandbox.account
            assert not waiting.done()
            fault.release()
    assert waiting.result().place.account == OTHER


async def test_a_denial_to_the_role_names_the_roles_policy(sessions, sandbox, role):
    asked = role()
    session = await sessions.open("us-east-1", asked)
    denied = {"action": "fail", "code": "AccessDenied", "status": 403}
    with (
        sandbox.fault("elasticache", "DescribeUsers", **denied),
        pytest.raises(AccessDeniedError, match=f"add it to the policy of {asked.arn}") as caught,
    ):
        await session.call("elasticache", "describe_users")
    assert caught.value.operation == "elasticache:DescribeUsers"


async def test_of_two_sessions_for_a_place_the_first_that_was_opened_is_the_places(sessions, role):
    first = await sessions.open("us-east-1", role())
    await sessions.open("us-east-1", role())
    assert sessions.at(Place(OTHER, "us-east-1")) is first
    assert sessions.at(Place(OTHER, "us-west-1")) is None


async def test_sts_calls_are_counted_with_the_place_as_far_as_it_is_known(sandbox, sessions, role):
    told = []
    counting = Sessions(lambda *facts: told.append(facts))
    session = await counting.open("us-east-1", role())
    with pytest.raises(AccessDeniedError):
        await counting.open("us-east-1", role()._replace(external_id="wrong"))
    await session.call("elasticache", "describe_users")
    counting.close()
    place = Place(OTHER, "us-east-1")
    assert told == [
        (None, "sts:AssumeRole", "OK"),
        (place, "sts:GetCallerIdentity", "OK"),
        (None, "sts:AssumeRole", "AccessDenied"),
        (place, "elasticache:DescribeUsers", "OK"),
    ]


@pytest.fixture
def instance_profile(sandbox, monkeypatch):
    """An instance metadata service (IMDSv2) with the session of a role in the sandbox's own account."""
    arn = sandbox.create_role(f"instance-{os.getpid()}-{next(_numbers)}", trusted=sandbox.account)
    keys = sandbox.boto3("sts").assume_role(RoleArn=arn, RoleSessionName="i-1")["Credentials"]
    answers = {
        "/latest/api/token": "a-metadata-token",
        "/latest/meta-data/iam/security-credentials/": "instance",
        "/latest/meta-data/iam/security-credentials/instance": json.dumps(
            {
                "Code": "Success",
                "AccessKeyId": keys["AccessKeyId"],
                "SecretAccessKey": keys["SecretAccessKey"],
                "Token": keys["SessionToken"],
                "Expiration": keys["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        ),
    }

    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self):
            body = answers.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_PUT(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name)
    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield keys
        server.shutdown()
        thread.join()


async def test_an_instance_profiles_credentials_tell_their_end_and_assume_roles(
    instance_profile, sandbox, role
):
    sessions = Sessions()
    session = await sessions.open("us-east-1")
    credentials = await session.credentials()
    other = await sessions.open("us-east-1", role())
    sessions.close()
    assert session.place.account == sandbox.account
    assert credentials.access_key_id == instance_profile["AccessKeyId"]
    assert credentials.expires_at == instance_profile["Expiration"].replace(microsecond=0)
    assert other.place.account == OTHER


async def test_without_any_credentials_the_error_says_what_to_do(sandbox, monkeypatch, tmp_path):
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    sessions = Sessions()
    for asked in (None, Role(f"arn:aws:iam::{OTHER}:role/valkeeper")):
        with pytest.raises(CredentialsError, match="instance profile"):
            await sessions.open("us-east-1", asked)
    sessions.close()


async def test_a_throttle_paces_its_own_service_also_where_botocore_tried_again_by_itself(sessions, sandbox):
    session = await sessions.open("us-east-1")
    with sandbox.fault("elasticache", "DescribeUsers", "throttle"):
        await session.call("elasticache", "describe_users")
    await session.call("secretsmanager", "list_secrets")
    paces = {service: limiter for place, service, limiter in sessions.paces() if place == session.place}
    assert paces["elasticache"].throttles == 1
    assert paces["elasticache"].rate is not None
    assert paces["secretsmanager"].rate is None


async def test_who_waits_for_one_services_turn_takes_no_thread_from_another(sessions, sandbox):
    session = await sessions.open("us-east-1")
    with sandbox.fault("elasticache", "ModifyUser", "throttle", count=None):
        for _ in range(3):
            with pytest.raises(ThrottledError):
                await session.mutate("elasticache", "modify_user", UserId="nobody")
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(session.call("elasticache", "describe_users")) for _ in range(20)]
        await session.call("secretsmanager", "list_secrets")
        assert not all(task.done() for task in waiting)
        for task in waiting:
            task.cancel()
