"""Requests held, refused and answered into the void, and the log of them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from deploy.sandbox.client import SandboxError


@pytest.fixture
def secret(secretsmanager, unique):
    secretsmanager.create_secret(Name=unique, SecretString="old")
    return unique


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def put(secretsmanager, secret):
    return secretsmanager.put_secret_value(SecretId=secret, SecretString="new")


def value(secretsmanager, secret):
    return secretsmanager.get_secret_value(SecretId=secret)["SecretString"]


def refusal(call, *args, **params):
    with pytest.raises(ClientError) as caught:
        call(*args, **params)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(("when", "meanwhile"), [("before", "old"), ("after", "new")])
def test_a_held_request_blocks_no_other(sandbox, secretsmanager, secret, pool, *, when, meanwhile):
    with sandbox.fault("secretsmanager", "PutSecretValue", "hold", when=when) as fault:
        held = pool.submit(put, secretsmanager, secret)
        fault.wait()
        assert fault.waiting == 1
        assert value(secretsmanager, secret) == meanwhile
        assert not held.done()
        fault.release()
        assert held.result(timeout=10)["Name"] == secret
    assert value(secretsmanager, secret) == "new"


def test_taking_a_fault_back_lets_go_what_it_holds(sandbox, secretsmanager, secret, pool):
    with sandbox.fault("secretsmanager", "PutSecretValue", "hold", count=None) as fault:
        held = [pool.submit(put, secretsmanager, secret) for _ in range(2)]
        fault.wait(hits=2)
    assert [call.result(timeout=10)["Name"] for call in held] == [secret, secret]


def test_a_lost_answer_had_its_effect(sandbox, secretsmanager, secret):
    with sandbox.fault("secretsmanager", "PutSecretValue", "lose"), pytest.raises(ConnectionClosedError):
        put(secretsmanager, secret)
    assert value(secretsmanager, secret) == "new"


def test_a_lost_request_had_none(sandbox, secretsmanager, secret):
    fault = sandbox.fault("secretsmanager", "PutSecretValue", "lose", when="before")
    with fault, pytest.raises(ConnectionClosedError):
        put(secretsmanager, secret)
    assert value(secretsmanager, secret) == "old"


def test_throttling_is_what_each_protocol_calls_it(sandbox, secretsmanager, elasticache, secret):
    with sandbox.fault("secretsmanager", "PutSecretValue", "throttle"):
        assert refusal(put, secretsmanager, secret) == ("ThrottlingException", 400)
        put(secretsmanager, secret)
    with sandbox.fault("elasticache", "DescribeUsers", "throttle"):
        assert refusal(elasticache.describe_users) == ("Throttling", 400)


def test_failing_with_a_code_before_or_after_the_effect(sandbox, secretsmanager, elasticache, secret):
    failure = {"code": "InternalServiceError", "status": 500}
    with sandbox.fault("secretsmanager", "*", "fail", when="after", **failure):
        assert refusal(put, secretsmanager, secret) == ("InternalServiceError", 500)
    assert value(secretsmanager, secret) == "new"
    with sandbox.fault("elasticache", "DescribeUsers", "fail", code="AccessDenied", status=403):
        assert refusal(elasticache.describe_users) == ("AccessDenied", 403)


def test_a_fault_is_for_as_many_requests_as_it_says_and_those_that_match(sandbox, elasticache):
    with sandbox.fault("elasticache", "DescribeUsers", "throttle", count=2, match="UserId=default") as fault:
        elasticache.describe_users()
        for _ in range(2):
            assert refusal(elasticache.describe_users, UserId="default")[0] == "Throttling"
        elasticache.describe_users(UserId="default")
        assert fault.hit == 2


def test_a_fault_can_let_some_pass_first(sandbox, elasticache):
    with sandbox.fault("elasticache", "DescribeUsers", "throttle", skip=1, match="UserId=default"):
        elasticache.describe_users(UserId="default")
        assert refusal(elasticache.describe_users, UserId="default")[0] == "Throttling"


def test_what_is_held_can_be_dropped_as_if_it_had_never_come(sandbox, secretsmanager, secret):
    with (
        ThreadPoolExecutor(1) as pool,
        sandbox.fault("secretsmanager", "PutSecretValue", "hold", drop=True) as fault,
    ):
        putting = pool.submit(put, secretsmanager, secret)
        fault.wait()
        fault.release()
        with pytest.raises(ConnectionClosedError):
            putting.result(10)
    assert value(secretsmanager, secret) == "old"


def test_waiting_in_vain_is_an_error(sandbox):
    with (
        sandbox.fault("elasticache", "ModifyUser", "hold") as fault,
        pytest.raises(TimeoutError, match="0 times"),
    ):
        fault.wait(timeout=0)


@pytest.mark.parametrize(
    "wish", [{"service": "sts"}, {"service": "s", "operation": "o", "action": "explode"}]
)
def test_a_fault_that_makes_no_sense_is_refused(sandbox, wish):
    with pytest.raises(SandboxError):
        sandbox.control("POST", "faults", body=wish)


def test_the_log_has_facts_and_no_bodies(sandbox, secretsmanager, elasticache, secret):
    since = max((request["sequence"] for request in sandbox.requests()), default=0)
    secretsmanager.put_secret_value(SecretId=secret, SecretString="canary-in-a-body")
    refusal(elasticache.modify_user, UserId="nobody", Passwords=["canary-in-a-body"])
    put_request, modify_request = sandbox.requests(since)
    assert put_request["sequence"] == since + 1
    assert (put_request["service"], put_request["operation"]) == ("secretsmanager", "PutSecretValue")
    assert (put_request["status"], put_request["code"]) == (200, None)
    assert put_request["account"] == sandbox.account
    assert put_request["access_key_id"] == sandbox.environment()["AWS_ACCESS_KEY_ID"]
    assert "Botocore" in put_request["user_agent"]
    assert (modify_request["status"], modify_request["code"]) == (404, "UserNotFound")
    assert "canary" not in str(sandbox.requests())
    assert sandbox.request_counts()["elasticache.ModifyUser"] >= 1


def test_requests_can_be_forgotten(sandbox, elasticache):
    elasticache.describe_users()
    sandbox.reset_requests()
    assert sandbox.requests() == []
    assert sandbox.request_counts() == {}


def test_an_operation_that_is_not_there_is_a_clean_error(elasticache):
    assert refusal(elasticache.describe_service_updates) == ("InvalidAction", 400)


def test_who_one_is(sandbox):
    assert sandbox.boto3("sts").get_caller_identity()["Account"] == sandbox.account
