"""IAM tokens: AWS's own test vector, and who can have one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from freezegun import freeze_time
from pydantic import SecretStr

from discovery.aws import AwsCredentials
from discovery.model import (
    Authentication,
    Database,
    DatabaseKind,
    Endpoint,
    Place,
    Service,
    User,
    UserKey,
    UserStatus,
)
from rotator.tokens import LIFETIME, Grant, grant, sign, why_no_token

NOW = datetime(2025, 1, 1, tzinfo=UTC)
KEY = UserKey(Service.ELASTICACHE, "123456789012", "eu-west-1", "my-user-id")
CREDENTIALS = AwsCredentials("fakeAccessKeyId", SecretStr("fakeSecretKey"), None, None)
USER = User(
    KEY,
    "my-user-id",
    "arn",
    UserStatus.ACTIVE,
    Authentication.IAM,
    managed=False,
    enabled=True,
    databases=("db",),
)
DATABASE = Database(
    "db",
    DatabaseKind.ELASTICACHE,
    Endpoint("127.0.0.1", 6379),
    place=Place("123456789012", "eu-west-1"),
    resource_id="my-replication-group-id",
    engine="redis",
    engine_version="7.1.0",
)


def signed(wanted, credentials=CREDENTIALS):
    with freeze_time(NOW):
        return sign(wanted, credentials, NOW)


def parameters(token):
    return {
        key: value
        for key, (value,) in parse_qs(urlsplit(f"http://{token.value.get_secret_value()}").query).items()
    }


def test_the_signature_is_that_of_awss_own_example():
    token = signed(Grant(KEY, "my-replication-group-id"))
    assert token.value.get_secret_value().startswith(
        "my-replication-group-id/?Action=connect&User=my-user-id&"
    )
    said = parameters(token)
    assert said["X-Amz-Signature"] == "9e361603d85874bce06114c6644725ed113e3b11ae6fa92efdf10c6bcf5de8d7"
    assert said["X-Amz-Expires"] == "900"


def test_the_host_is_the_caches_name_in_lower_case():
    assert signed(Grant(KEY, "My-Cache")).value.get_secret_value().startswith("my-cache/?")


def test_a_serverless_cache_is_named_as_one_and_has_a_key_of_its_own():
    token = signed(Grant(KEY, "cache", serverless=True))
    assert parameters(token)["ResourceType"] == "ServerlessCache"
    assert Grant(KEY, "cache", serverless=True).key != Grant(KEY, "cache").key


def test_a_memorydb_token_is_signed_for_memorydb():
    key = UserKey(Service.MEMORYDB, "123456789012", "eu-west-1", "web")
    assert (
        "/eu-west-1/memorydb/aws4_request" in parameters(signed(Grant(key, "sessions")))["X-Amz-Credential"]
    )


def test_the_sessions_token_is_part_of_it():
    credentials = replace(CREDENTIALS, session_token=SecretStr("the/session=token"))
    assert parameters(signed(Grant(KEY, "cache"), credentials))["X-Amz-Security-Token"] == "the/session=token"


@pytest.mark.parametrize(
    ("session_ends", "token_ends"),
    [(None, LIFETIME), (timedelta(hours=1), LIFETIME), (timedelta(minutes=4), timedelta(minutes=4))],
)
def test_a_token_ends_after_15_minutes_or_with_its_session(session_ends, token_ends):
    ends = None if session_ends is None else NOW + session_ends
    token = signed(Grant(KEY, "cache"), replace(CREDENTIALS, expires_at=ends))
    assert token.expires_at == NOW + token_ends


def test_a_token_is_renewed_after_a_third_of_its_life_or_when_the_session_signs_with_other_keys():
    token = signed(Grant(KEY, "cache"))
    assert not token.is_to_be_renewed(CREDENTIALS, NOW + timedelta(minutes=4, seconds=59))
    assert token.is_to_be_renewed(CREDENTIALS, NOW + timedelta(minutes=5))
    assert token.is_to_be_renewed(replace(CREDENTIALS, access_key_id="another"), NOW)


def test_neither_the_token_nor_the_keys_are_in_what_it_shows():
    token = signed(Grant(KEY, "cache"), replace(CREDENTIALS, session_token=SecretStr("sessiontoken")))
    shown = repr(token)
    assert "X-Amz" not in shown
    assert "fakeSecretKey" not in shown
    assert "sessiontoken" not in shown
    assert token.value.get_secret_value() not in token.version


@pytest.mark.parametrize(
    ("service", "engine", "version", "is_old"),
    [
        (Service.ELASTICACHE, "redis", "6.2.6", True),
        (Service.ELASTICACHE, "redis", "6.x", True),
        (Service.ELASTICACHE, "redis", "7.0", False),
        (Service.ELASTICACHE, "redis", "7.1.0", False),
        (Service.ELASTICACHE, "valkey", "7.1", True),
        (Service.ELASTICACHE, "valkey", "7.2.6", False),
        (Service.ELASTICACHE, "valkey", "7", False),
        (Service.ELASTICACHE, "valkey", "8.0", False),
        (Service.ELASTICACHE, "redis", "10.0", False),
        (Service.ELASTICACHE, "redis", None, False),
        (Service.MEMORYDB, "redis", "6.2", True),
        (Service.MEMORYDB, "redis", "7.0", False),
        (Service.MEMORYDB, "valkey", "7.2", False),
    ],
)
def test_an_engine_has_to_be_new_enough(service, engine, version, is_old):
    user = replace(USER, key=KEY._replace(service=service))
    reason = why_no_token(user, replace(DATABASE, engine=engine, engine_version=version))
    assert (reason is not None) is is_old
    assert reason is None or "too old for IAM" in reason


def test_elasticache_wants_user_id_and_name_to_be_the_same():
    other = replace(USER, name="reporting")
    assert "'my-user-id' and its user name 'reporting' differ" in (why_no_token(other, DATABASE) or "")
    assert grant(other, DATABASE) is None


def test_a_user_that_is_off_has_no_token():
    assert why_no_token(replace(USER, enabled=False), DATABASE) == "its access string says off"


def test_a_database_that_is_no_known_resource_has_no_tokens():
    assert "it is not known which" in (why_no_token(USER, replace(DATABASE, resource_id=None)) or "")


def test_primary_and_reader_share_a_token():
    reader = replace(DATABASE, name="db-reader")
    assert grant(USER, DATABASE) == grant(USER, reader) == Grant(KEY, "my-replication-group-id")
