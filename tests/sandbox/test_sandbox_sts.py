"""STS in the sandbox: who may assume which role, how long a session lives, and whose calls are believed."""

import json
from datetime import UTC, datetime, timedelta
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, Credentials, DeferredRefreshableCredentials
from botocore.exceptions import ClientError
from botocore.session import get_session
from freezegun import freeze_time

ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture
def sts(sandbox):
    return sandbox.boto3("sts")


@pytest.fixture
def lifetime(sandbox):
    """Says how long sessions live, until the test is over."""
    yield sandbox.set_session_lifetime
    sandbox.set_session_lifetime(None)


def assume(sandbox, role_arn, **options):
    options = {"RoleSessionName": "a-session"} | options
    return sandbox.boto3("sts").assume_role(RoleArn=role_arn, **options)


def as_session(sandbox, service, credentials, **changes):
    """A client with the credentials of an answer of AssumeRole."""
    settings = {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }
    return sandbox.boto3(service, **settings | changes)


def refused(call, *arguments, **options):
    with pytest.raises(ClientError) as refusal:
        call(*arguments, **options)
    answer = refusal.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Message"]


def not_authorized(caller, role_arn):
    words = f"User: {caller} is not authorized to perform: sts:AssumeRole on resource: {role_arn}"
    return "AccessDenied", 403, words


def fetch(url, **options):
    """The answer to a plain GET, as by somebody who was handed a presigned address."""
    try:
        with urlopen(Request(url, **options), timeout=10) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def me(sandbox):
    return f"arn:aws:iam::{sandbox.account}:user/valkeeper"


def test_a_user_is_told_who_it_is(sandbox, sts, other):
    mine, theirs = sts.get_caller_identity(), other.boto3("sts").get_caller_identity()
    assert (mine["Account"], mine["Arn"]) == (sandbox.account, me(sandbox))
    assert (theirs["Account"], theirs["Arn"]) == (
        other.account,
        f"arn:aws:iam::{other.account}:user/valkeeper",
    )
    user = sandbox.boto3("iam").get_user(UserName="valkeeper")["User"]
    assert (mine["UserId"], mine["Arn"]) == (user["UserId"], user["Arn"])
    assert mine["UserId"] != theirs["UserId"]


@pytest.mark.parametrize("trusted", ["{account}", "arn:aws:iam::{account}:root", "{arn}", "*"])
def test_a_role_lets_in_whom_it_trusts(sandbox, other, unique, trusted):
    role = other.create_role(unique, trusted=trusted.format(account=sandbox.account, arn=me(sandbox)))
    assert role == f"arn:aws:iam::{other.account}:role/{unique}"
    answer = assume(sandbox, role)
    identity = as_session(sandbox, "sts", answer["Credentials"]).get_caller_identity()
    assert identity["Account"] == other.account
    assert identity["Arn"] == f"arn:aws:sts::{other.account}:assumed-role/{unique}/a-session"
    assert identity["UserId"].startswith("AROA")
    assert identity["UserId"].endswith(":a-session")
    assert answer["AssumedRoleUser"] == {"AssumedRoleId": identity["UserId"], "Arn": identity["Arn"]}


@pytest.mark.parametrize(
    "trusted", ["{other}", "arn:aws:iam::{account}:user/somebody", "arn:aws:iam::{account}:role/valkeeper"]
)
def test_a_role_keeps_out_whom_it_does_not_trust(sandbox, other, unique, trusted):
    role = other.create_role(unique, trusted=trusted.format(account=sandbox.account, other=other.account))
    assert refused(assume, sandbox, role) == not_authorized(me(sandbox), role)


def test_a_role_that_does_not_exist_looks_like_one_that_does_not_trust(sandbox, other, unique):
    other.create_role(unique, trusted=sandbox.account)
    for role in (
        f"arn:aws:iam::{other.account}:role/no-{unique}",
        f"arn:aws:iam::{sandbox.account}:role/{unique}",
    ):
        assert refused(assume, sandbox, role) == not_authorized(me(sandbox), role)


def test_an_external_id_that_is_asked_for_must_be_given(sandbox, other, unique):
    role = other.create_role(unique, trusted=sandbox.account, external_id="agreed")
    assert assume(sandbox, role, ExternalId="agreed")["Credentials"]["AccessKeyId"].startswith("ASIA")
    for options in ({}, {"ExternalId": "guessed"}, {"ExternalId": "Agreed"}):
        assert refused(assume, sandbox, role, **options) == not_authorized(me(sandbox), role)


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


ANYBODY = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}
LIKE = {"Condition": {"StringLike": {"sts:externalid": ["a-*", "b-?"]}}}


@pytest.mark.parametrize(
    ("statements", "external_id", "allowed"),
    [
        ([ANYBODY | {"Action": ["sts:TagSession", "sts:*"]}], None, True),
        ([ANYBODY | {"Action": "sts:TagSession"}], None, False),
        ([ANYBODY | {"Principal": {"Service": "ec2.amazonaws.com"}}], None, False),
        ([ANYBODY | LIKE], "a-long-one", True),
        ([ANYBODY | LIKE], "b-1", True),
        ([ANYBODY | LIKE], "b-12", False),
        ([ANYBODY | LIKE], None, False),
        ([ANYBODY, ANYBODY | {"Effect": "Deny"} | LIKE], "a-1", False),
        ([ANYBODY, ANYBODY | {"Effect": "Deny"} | LIKE], "other", True),
        ([ANYBODY | {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}], None, False),
        ([ANYBODY, ANYBODY | {"Effect": "Deny", "Condition": {"Bool": {"aws:X": "true"}}}], None, False),
        ([ANYBODY | {"Condition": {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}}], None, True),
        ([ANYBODY | {"Condition": {"StringNotEquals": {"sts:ExternalId": "x1"}}}], "x1", False),
        ([ANYBODY | {"Condition": {"StringNotEquals": {"sts:ExternalId": "x1"}}}], None, True),
        ([ANYBODY | {"Condition": {"StringEqualsIfExists": {"sts:ExternalId": "x1"}}}], None, True),
        ([{"Effect": "Allow", "NotPrincipal": {"AWS": "1"}, "Action": "sts:AssumeRole"}], None, False),
    ],
)
def test_a_trust_policy_means_what_it_says(sandbox, other, unique, statements, external_id, allowed):
    role = other.boto3("iam").create_role(RoleName=unique, AssumeRolePolicyDocument=policy(*statements))[
        "Role"
    ]
    options = {"ExternalId": external_id} if external_id else {}
    if allowed:
        assert assume(sandbox, role["Arn"], **options)["Credentials"]["SessionToken"]
    else:
        assert refused(assume, sandbox, role["Arn"], **options)[0] == "AccessDenied"


def test_a_session_assumes_the_next_role_as_its_own_role_and_for_an_hour_at_most(sandbox, other, unique):
    first = sandbox.create_role(unique, trusted=sandbox.account)
    second = other.create_role(unique, trusted=first, max_session_duration=7200)
    chained = as_session(sandbox, "sts", assume(sandbox, first)["Credentials"])
    wish = {"RoleArn": second, "RoleSessionName": "second"}
    answer = chained.assume_role(**wish)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{other.account}:assumed-role/{unique}/second"
    code, _, message = refused(chained.assume_role, **wish, DurationSeconds=7200)
    assert (code, "role chaining" in message) == ("ValidationError", True)
    # The user itself is not the role.
    assert refused(assume, sandbox, second) == not_authorized(me(sandbox), second)


def test_a_session_lives_as_long_as_was_asked_for(sandbox, other, unique):
    role = other.create_role(unique, trusted=sandbox.account)
    for options, seconds in (({}, 3600), ({"DurationSeconds": 900}, 900)):
        earliest = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
        expiration = assume(sandbox, role, **options)["Credentials"]["Expiration"]
        assert earliest <= expiration <= datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "options",
    [
        {"DurationSeconds": 899},
        {"DurationSeconds": 43201},
        {"DurationSeconds": 3601},
        {"RoleSessionName": "no spaces"},
        {"ExternalId": "no spaces"},
        {"RoleArn": "arn:aws:iam::1:role/{name}"},
    ],
)
def test_what_aws_would_not_take_is_refused(sandbox, other, unique, options):
    role = other.create_role(unique, trusted=sandbox.account)
    options = {
        name: value.format(name=unique) if name == "RoleArn" else value for name, value in options.items()
    }
    sts = sandbox.boto3("sts", config=ONCE.merge(Config(parameter_validation=False)))
    wish = {"RoleArn": role, "RoleSessionName": "a-session"} | options
    assert refused(sts.assume_role, **wish)[:2] == ("ValidationError", 400)


def test_sts_believes_no_wrong_secret_no_unknown_key_and_no_wrong_token(sandbox, other, unique):
    wrong = sandbox.boto3("sts", aws_secret_access_key="guessed")
    assert refused(wrong.get_caller_identity)[:2] == ("SignatureDoesNotMatch", 403)
    unknown = sandbox.boto3("sts", aws_access_key_id="AKIAUNKNOWNTOANYBODY")
    assert refused(unknown.get_caller_identity)[:2] == ("InvalidClientTokenId", 403)
    credentials = assume(sandbox, other.create_role(unique, trusted=sandbox.account))["Credentials"]
    for token in ("another", None):
        client = boto3.client(
            "sts",
            region_name=sandbox.region,
            endpoint_url=sandbox.endpoint_url,
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=token,
            config=ONCE,
        )
        assert refused(client.get_caller_identity)[:2] == ("InvalidClientTokenId", 403)
    assert fetch(f"{sandbox.endpoint_url}/?Action=GetCallerIdentity")[0] == 403


def test_every_other_service_believes_no_wrong_key_either(sandbox):
    """As in AWS, JSON and XML have names of their own for the same errors."""
    for changes, xml, as_json in (
        ({"aws_secret_access_key": "guessed"}, "SignatureDoesNotMatch", "InvalidSignatureException"),
        (
            {"aws_access_key_id": "AKIAUNKNOWNTOANYBODY"},
            "InvalidClientTokenId",
            "UnrecognizedClientException",
        ),
    ):
        elasticache = sandbox.boto3("elasticache", **changes)
        assert refused(elasticache.describe_users)[:2] == (xml, 403)
        secretsmanager = sandbox.boto3("secretsmanager", **changes)
        assert refused(secretsmanager.list_secrets)[:2] == (as_json, 400)


def test_a_key_that_iam_made_is_believed_until_it_is_switched_off(sandbox, other, unique):
    iam = other.boto3("iam")
    iam.create_user(UserName=unique)
    key = iam.create_access_key(UserName=unique)["AccessKey"]
    theirs = sandbox.boto3(
        "sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"]
    )
    assert theirs.get_caller_identity()["Arn"] == f"arn:aws:iam::{other.account}:user/{unique}"
    iam.update_access_key(UserName=unique, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert refused(theirs.get_caller_identity)[0] == "InvalidClientTokenId"


def test_a_presigned_get_caller_identity_tells_who_signed_it(sandbox, sts, other, unique):
    url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    status, text = fetch(url)
    assert (status, me(sandbox) in text) == (200, True)
    credentials = assume(sandbox, other.create_role(unique, trusted=sandbox.account))["Credentials"]
    session = as_session(sandbox, "sts", credentials)
    status, text = fetch(session.generate_presigned_url("get_caller_identity", HttpMethod="GET"))
    assert (status, f"assumed-role/{unique}/a-session" in text) == (200, True)


def test_a_presigned_call_is_refused_when_tampered_with_or_too_old(sts):
    url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    status, text = fetch(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"))
    assert (status, "<Code>SignatureDoesNotMatch</Code>" in text) == (403, True)
    with freeze_time(datetime.now(UTC) - timedelta(seconds=61)):
        old = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    status, text = fetch(old)
    assert (status, "<Code>AccessDenied</Code><Message>Request has expired" in text) == (403, True)


def test_a_session_that_is_over_is_refused_by_every_service(sandbox, other, unique, lifetime):
    role = other.create_role(unique, trusted=sandbox.account)
    lifetime(0)
    credentials = assume(sandbox, role)["Credentials"]
    assert credentials["Expiration"] <= datetime.now(UTC)
    for service, call, expected in (
        ("sts", "get_caller_identity", ("ExpiredToken", 403)),
        ("elasticache", "describe_users", ("ExpiredToken", 403)),
        ("secretsmanager", "list_secrets", ("ExpiredTokenException", 400)),
        ("memorydb", "describe_users", ("ExpiredTokenException", 400)),
    ):
        client = as_session(sandbox, service, credentials)
        code, status, message = refused(getattr(client, call))
        assert (code, status) == expected
        assert "expired" in message
    lifetime(None)
    credentials = assume(sandbox, role)["Credentials"]
    assert as_session(sandbox, "elasticache", credentials).describe_users()["Users"] is not None


def test_boto3_refreshes_a_short_session_with_new_keys(sandbox, other, unique, lifetime):
    role = other.create_role(unique, trusted=sandbox.account, external_id="agreed")
    lifetime(30)
    environment = sandbox.environment()
    fetcher = AssumeRoleCredentialFetcher(
        lambda service, **options: get_session().create_client(
            service, region_name=sandbox.region, endpoint_url=sandbox.endpoint_url, **options
        ),
        Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]),
        role,
        extra_args={"RoleSessionName": "rolling", "ExternalId": "agreed"},
    )
    refreshable = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
    # Closer to its end than botocore lets a session come, so that each look brings the next one.
    first, second = refreshable.get_frozen_credentials(), refreshable.get_frozen_credentials()
    assert first.access_key != second.access_key
    session = get_session()
    session._credentials = refreshable
    elasticache = session.create_client(
        "elasticache", region_name=sandbox.region, endpoint_url=sandbox.endpoint_url
    )
    before = sandbox.requests()[-1]["sequence"]
    for _ in range(2):
        elasticache.describe_users()
    asked = [entry for entry in sandbox.requests(before) if entry["operation"] == "DescribeUsers"]
    assert len({entry["access_key_id"] for entry in asked}) == 2
    assert {(entry["account"], entry["status"]) for entry in asked} == {(other.account, 200)}


def test_a_role_reaches_into_its_own_account_and_no_other(sandbox, other, unique):
    theirs = other.create_user(unique)
    credentials = assume(sandbox, other.create_role(unique, trusted=sandbox.account))["Credentials"]
    found = as_session(sandbox, "elasticache", credentials).describe_users(UserId=unique)["Users"]
    assert [user["ARN"] for user in found] == [other.user_arn(unique)]
    assert refused(sandbox.boto3("elasticache").describe_users, UserId=unique)[0] == "UserNotFound"
    assert other.passwords(unique) == [theirs]


def test_nobody_reaches_another_account_by_asking_moto_for_it(sandbox, other):
    sts = boto3.session.Session().client(
        "sts",
        region_name=sandbox.region,
        endpoint_url=sandbox.endpoint_url,
        aws_access_key_id=sandbox.environment()["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=sandbox.environment()["AWS_SECRET_ACCESS_KEY"],
        config=ONCE,
    )
    sts.meta.events.register(
        "before-sign.sts.*",
        lambda request, **_: request.headers.add_header("x-moto-account-id", other.account),
    )
    assert sts.get_caller_identity()["Account"] == sandbox.account


def test_the_log_says_who_called_in_which_account(sandbox, other, unique):
    role = other.create_role(unique, trusted=sandbox.account)
    before = sandbox.requests()[-1]["sequence"]
    credentials = assume(sandbox, role)["Credentials"]
    as_session(sandbox, "elasticache", credentials).describe_users()
    other.boto3("secretsmanager").list_secrets()
    fetch(sandbox.boto3("sts").generate_presigned_url("get_caller_identity", HttpMethod="GET"))
    refused(sandbox.boto3("sts", aws_access_key_id="AKIAUNKNOWNTOANYBODY").get_caller_identity)
    own, theirs = (account.environment()["AWS_ACCESS_KEY_ID"] for account in (sandbox, other))
    seen = [
        tuple(entry[name] for name in ("service", "operation", "account", "access_key_id", "status", "code"))
        for entry in sandbox.requests(before)
    ]
    assert seen == [
        ("sts", "AssumeRole", sandbox.account, own, 200, None),
        ("elasticache", "DescribeUsers", other.account, credentials["AccessKeyId"], 200, None),
        ("secretsmanager", "ListSecrets", other.account, theirs, 200, None),
        ("sts", "GetCallerIdentity", sandbox.account, own, 200, None),
        ("sts", "GetCallerIdentity", "", "AKIAUNKNOWNTOANYBODY", 403, "InvalidClientTokenId"),
    ]
