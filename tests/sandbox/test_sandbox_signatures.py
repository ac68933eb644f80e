"""Signature Version 4 as the sandbox checks it: what botocore signs passes, and nothing else does."""

from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from freezegun import freeze_time

from deploy.sandbox.keys import AccessKey, KeyRing
from deploy.sandbox.signatures import SignatureError, verify_header, verify_query

SIGNED_AT = datetime(2025, 1, 1, tzinfo=UTC)
NOW = SIGNED_AT.timestamp()
MINUTE = 60.0
USER = AccessKey("fakeAccessKeyId", "fakeSecretKey", "111122223333", "arn:aws:iam::111122223333:user/app")
SESSION = AccessKey(
    "ASIASESSION",
    "anotherSecret",
    "111122223333",
    "arn:aws:sts::111122223333:assumed-role/app/session",
    session_token="to/ken+with=odd characters",
    expires_at=NOW + 60 * MINUTE,
)
FORM = b"Action=GetCallerIdentity&Version=2011-06-15"
TOKEN_URL = "http://my-replication-group-id/?Action=connect&User=my-user-id"
# AWS's own demo: https://github.com/aws-samples/elasticache-iam-auth-demo-app
VECTOR = (
    "http://my-replication-group-id/?Action=connect&User=my-user-id&X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=fakeAccessKeyId%2F20250101%2Feu-west-1%2Felasticache%2Faws4_request"
    "&X-Amz-Date=20250101T000000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=9e361603d85874bce06114c6644725ed113e3b11ae6fa92efdf10c6bcf5de8d7"
)


@pytest.fixture
def keys():
    ring = KeyRing()
    ring.add(USER)
    ring.add(SESSION)
    return ring


def presigned(key, url=TOKEN_URL, *, expires=900, region="eu-west-1", service="elasticache", headers=None):
    request = AWSRequest("GET", url, headers=headers or {})
    credentials = Credentials(key.id, key.secret, key.session_token)
    with freeze_time(SIGNED_AT):
        SigV4QueryAuth(credentials, service, region, expires=expires).add_auth(request)
    return request.url


def signed(key, *, url="http://sts.eu-west-1.amazonaws.com/", body=FORM, **extra):
    request = AWSRequest("POST", url, headers={"Content-Type": "text/plain", **extra}, data=body)
    request.headers["Host"] = request.url.split("/")[2]
    with freeze_time(SIGNED_AT):
        SigV4Auth(Credentials(key.id, key.secret, key.session_token), "sts", "eu-west-1").add_auth(request)
    return dict(request.headers)


def in_query(keys, url, *, now=NOW, method="GET", region="eu-west-1", service="elasticache", **more):
    return verify_query(method, url, service=service, region=region, keys=keys, now=now, **more)


def in_header(
    keys, headers, *, path="/", body=FORM, now=NOW, method="POST", service="sts", region="eu-west-1"
):
    return verify_header(method, path, headers, body, service=service, region=region, keys=keys, now=now)


def refused(call, *arguments, **options):
    with pytest.raises(SignatureError) as refusal:
        call(*arguments, **options)
    return refusal.value.code, refusal.value.message


def test_the_vector_of_awss_own_demo_passes(keys):
    assert in_query(keys, VECTOR) is USER


@pytest.mark.parametrize("key", [USER, SESSION], ids=["user", "session"])
def test_what_botocore_signs_passes_in_the_query_and_in_the_header(keys, key):
    assert in_query(keys, presigned(key)) is key
    assert in_header(keys, signed(key)) is key


def test_the_order_of_a_query_and_its_spelling_do_not_matter(keys):
    pairs = [pair.partition("=") for pair in VECTOR.partition("?")[2].split("&")]
    shuffled = "&".join(f"{name}={value.replace('%2F', '/')}" for name, _, value in reversed(pairs))
    assert in_query(keys, f"http://my-replication-group-id/?{shuffled}") is USER


def test_further_headers_may_be_signed_and_must_be_there(keys):
    url = presigned(USER, headers={"X-K8s-Aws-Id": "cluster"})
    assert in_query(keys, url, headers={"x-k8s-aws-id": "cluster"}) is USER
    assert refused(in_query, keys, url)[0] == "SignatureDoesNotMatch"
    assert refused(in_query, keys, url, headers={"x-k8s-aws-id": "other"})[0] == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("User=my-user-id", "User=other"),
        ("Action=connect", "Action=disconnect"),
        ("http://my-replication-group-id/", "http://another/"),
        ("http://my-replication-group-id/", "http://my-replication-group-id/x"),
        ("&User=", "&ResourceType=ServerlessCache&User="),
        ("X-Amz-Expires=900", "X-Amz-Expires=901"),
        ("X-Amz-Date=20250101T000000Z", "X-Amz-Date=20250101T000001Z"),
        ("8d7", "8d8"),
    ],
)
def test_a_query_with_any_part_changed_is_refused(keys, was, becomes):
    assert was in VECTOR
    code, message = refused(in_query, keys, VECTOR.replace(was, becomes))
    assert code == "SignatureDoesNotMatch"
    assert message.startswith("The request signature we calculated does not match")


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4-ECDSA"),
        ("X-Amz-Date=20250101T000000Z", "X-Amz-Date=yesterday"),
        ("X-Amz-Date=20250101T000000Z&", ""),
        ("X-Amz-Expires=900", "X-Amz-Expires=604801"),
        ("X-Amz-Expires=900", "X-Amz-Expires=-1"),
        ("X-Amz-Expires=900&", ""),
        ("%2Faws4_request", ""),
        ("X-Amz-Expires=900", "X-Amz-Expires=900&X-Amz-Expires=900"),
    ],
)
def test_a_query_that_is_not_a_signature_at_all_is_refused(keys, was, becomes):
    assert was in VECTOR
    code, _ = refused(in_query, keys, VECTOR.replace(was, becomes))
    # A date that does not agree with the scope's is found first.
    assert code == ("SignatureDoesNotMatch" if becomes.endswith("yesterday") else "IncompleteSignature")


def test_a_query_is_good_until_it_expires_and_not_a_second_longer(keys):
    assert in_query(keys, VECTOR, now=NOW + 899) is USER
    code, message = refused(in_query, keys, VECTOR, now=NOW + 900)
    assert code == "AccessDenied"
    assert message.startswith("Request has expired: it was signed at 20250101T000000Z for 900 seconds")
    code, message = refused(in_query, keys, VECTOR, now=NOW - 901)
    assert (code, message.partition(":")[0]) == ("SignatureDoesNotMatch", "Signature not yet current")


def test_a_header_is_good_for_fifteen_minutes_either_way(keys):
    headers = signed(USER)
    for now in (NOW - 900, NOW + 900):
        assert in_header(keys, headers, now=now) is USER
    code, message = refused(in_header, keys, headers, now=NOW + 901)
    assert (code, message.partition(":")[0]) == ("SignatureDoesNotMatch", "Signature expired")
    code, message = refused(in_header, keys, headers, now=NOW - 901)
    assert (code, message.partition(":")[0]) == ("SignatureDoesNotMatch", "Signature not yet current")


def test_the_service_and_the_region_must_be_the_ones_that_are_asked(keys):
    assert "'memorydb'" in refused(in_query, keys, VECTOR, service="memorydb")[1]
    assert "'eu-west-1'" in refused(in_query, keys, VECTOR, region="us-east-1")[1]
    assert refused(in_header, keys, signed(USER), service="iam")[0] == "SignatureDoesNotMatch"


def test_an_unknown_key_is_refused(keys):
    stranger = AccessKey("AKIASTRANGER", "secret", "111122223333", "arn")
    assert refused(in_query, keys, presigned(stranger))[0] == "InvalidClientTokenId"
    assert refused(in_header, keys, signed(stranger))[0] == "InvalidClientTokenId"


def test_a_known_key_with_another_secret_is_refused(keys):
    thief = AccessKey(USER.id, "guessed", USER.account, USER.arn)
    assert refused(in_query, keys, presigned(thief))[0] == "SignatureDoesNotMatch"
    assert refused(in_header, keys, signed(thief))[0] == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("key", "token"),
    [(SESSION, None), (SESSION, "another"), (USER, "a token that a user's key does not have")],
    ids=["no token", "wrong token", "too much token"],
)
def test_the_session_token_is_the_keys_own(keys, key, token):
    wrong = AccessKey(key.id, key.secret, key.account, key.arn, session_token=token)
    assert refused(in_query, keys, presigned(wrong))[0] == "InvalidClientTokenId"
    assert refused(in_header, keys, signed(wrong))[0] == "InvalidClientTokenId"


def test_a_signature_ends_with_its_session(keys):
    url = presigned(SESSION, expires=7200)
    assert in_query(keys, url, now=NOW + 59 * MINUTE) is SESSION
    assert refused(in_query, keys, url, now=NOW + 60 * MINUTE)[0] == "ExpiredToken"


def test_a_signed_body_path_query_or_method_cannot_be_changed(keys):
    headers = signed(USER, url="http://sts.eu-west-1.amazonaws.com/path?a=1&b=x%20y")
    assert in_header(keys, headers, path="/path?b=x+y&a=1") is USER
    for change in (
        {"path": "/path?a=1&b=x%20y", "body": FORM.replace(b"Get", b"Set")},
        {"path": "/path?a=2&b=x%20y"},
        {"path": "/other?a=1&b=x%20y"},
        {"path": "/path?a=1&b=x%20y", "method": "GET"},
    ):
        assert refused(in_header, keys, headers, **change)[0] == "SignatureDoesNotMatch"


def test_a_signed_header_cannot_be_changed_and_an_unsigned_one_can(keys):
    headers = signed(USER)
    assert in_header(keys, headers | {"User-Agent": "any"}) is USER
    for name, value in (("Content-Type", "text/html"), ("Host", "elsewhere")):
        assert refused(in_header, keys, headers | {name: value})[0] == "SignatureDoesNotMatch"


def test_a_declared_hash_of_the_body_must_be_the_bodys(keys):
    headers = signed(USER, **{"X-Amz-Content-SHA256": "0" * 64})
    code, message = refused(in_header, keys, headers)
    assert code == "SignatureDoesNotMatch"
    assert "x-amz-content-sha256" in message


def test_the_host_is_always_signed(keys):
    headers = signed(USER)
    headers["Authorization"] = headers["Authorization"].replace("host;", "")
    assert "'Host'" in refused(in_header, keys, headers)[1]


def test_no_signature_is_missing_and_half_a_one_incomplete(keys):
    assert refused(in_header, keys, {"Host": "sts"})[0] == "MissingAuthenticationToken"
    assert refused(in_query, keys, TOKEN_URL)[0] == "MissingAuthenticationToken"
    half = {"Authorization": "AWS4-HMAC-SHA256 " + urlencode({"Credential": "x"})}
    assert refused(in_header, keys, half)[0] == "IncompleteSignature"
    basic = signed(USER)
    basic["Authorization"] = basic["Authorization"].replace("AWS4-HMAC-SHA256", "Basic")
    assert refused(in_header, keys, basic)[0] == "IncompleteSignature"


def test_a_refusal_shows_no_secret(keys):
    _, message = refused(in_header, keys, signed(AccessKey(USER.id, "guessed", "1", "arn")))
    assert USER.secret not in message
    assert "guessed" not in message
