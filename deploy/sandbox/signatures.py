"""Checks AWS's Signature Version 4, in the Authorization header and in a presigned query.

The expected signature comes from botocore's own signer, the other side of the same rules:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from deploy.sandbox.keys import AccessKey, KeyRing

__all__ = ["SignatureError", "verify_header", "verify_query"]

_ALGORITHM = "AWS4-HMAC-SHA256"
_SKEW = timedelta(minutes=15)
_LONGEST = 7 * 24 * 3600
_FIELD = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")


class SignatureError(Exception):
    """A request is not who it says it is, or comes too late: AWS's error code and words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says about its own signature."""

    access_key_id: str
    scope: tuple[str, ...]  # date, region, service, aws4_request
    timestamp: str
    signed_headers: tuple[str, ...]
    signature: str
    token: str | None


def verify_query(
    method: str,
    url: str,
    *,
    service: str,
    region: str,
    keys: KeyRing,
    now: float,
    headers: Mapping[str, str] | None = None,
) -> AccessKey:
    """Return the key that a presigned request was signed with.

    Args:
        method: The HTTP method.
        url: The whole address with its query; its host is the one that was signed.
        service: The service that the signature must be for, by its signing name.
        region: The region that it must be for.
        keys: The keys that there are.
        now: Seconds since the epoch.
        headers: Where more than the host was signed.

    Raises:
        SignatureError: AWS would refuse the request.
    """
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = dict(pairs)
    if "X-Amz-Signature" not in query or "X-Amz-Credential" not in query:
        raise SignatureError("MissingAuthenticationToken", "Request is missing Authentication Token")
    counts = Counter(name for name, _ in pairs)
    if twice := [name for name, count in counts.items() if count > 1 and name.startswith("X-Amz-")]:
        raise SignatureError("IncompleteSignature", f"The query has {twice[0]} more than once.")
    if query.get("X-Amz-Algorithm") != _ALGORITHM:
        raise SignatureError("IncompleteSignature", f"X-Amz-Algorithm must be {_ALGORITHM}.")
    claim = _claim(
        query["X-Amz-Credential"],
        query.get("X-Amz-Date"),
        query.get("X-Amz-SignedHeaders", ""),
        query["X-Amz-Signature"],
        query.get("X-Amz-Security-Token"),
    )
    key = _key(claim, service, region, keys, now)
    _check_life(claim, query.get("X-Amz-Expires", ""), now)
    request = AWSRequest(
        method,
        parts._replace(query="").geturl(),
        headers=_signed({"host": parts.netloc} | _lower(headers or {}), claim),
        params=[(name, value) for name, value in pairs if name != "X-Amz-Signature"],  # type: ignore[arg-type]
    )
    _check_signature(request, claim, key, service, region)
    return key


def verify_header(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    service: str,
    region: str,
    keys: KeyRing,
    now: float,
) -> AccessKey:
    """Return the key that a request with an Authorization header was signed with.

    Args:
        method: The HTTP method.
        url: The address with its query; a path is enough, as the host is in the headers.
        headers: All of them, in any case.
        body: As it travelled.
        service: The service that the signature must be for, by its signing name.
        region: The region that it must be for.
        keys: The keys that there are.
        now: Seconds since the epoch.

    Raises:
        SignatureError: AWS would refuse the request.
    """
    headers = _lower(headers)
    authorization = headers.get("authorization")
    if authorization is None:
        raise SignatureError("MissingAuthenticationToken", "Request is missing Authentication Token")
    fields = dict(_FIELD.findall(authorization))
    if not authorization.startswith(_ALGORITHM) or len(fields) != 3:
        raise SignatureError(
            "IncompleteSignature",
            f"Authorization header must have {_ALGORITHM}, Credential, SignedHeaders and Signature.",
        )
    claim = _claim(
        fields["Credential"],
        headers.get("x-amz-date"),
        fields["SignedHeaders"],
        fields["Signature"],
        headers.get("x-amz-security-token"),
    )
    key = _key(claim, service, region, keys, now)
    _check_clock(claim, now)
    declared = headers.get("x-amz-content-sha256")
    if declared is not None and declared != hashlib.sha256(body).hexdigest():
        raise SignatureError(
            "SignatureDoesNotMatch", "The provided x-amz-content-sha256 does not match what was computed."
        )
    parts = urlsplit(url)
    request = AWSRequest(
        method,
        parts._replace(scheme="http", netloc=headers.get("host", ""), query="").geturl(),
        headers=_signed(headers, claim),
        data=body,
        params=parse_qsl(parts.query, keep_blank_values=True),  # type: ignore[arg-type]
    )
    _check_signature(request, claim, key, service, region)
    return key


class _Verifier(SigV4Auth):
    def headers_to_sign(self, request: Any) -> Any:
        # What was signed is the sender's choice, which the request has been cut down to.
        return request.headers


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _claim(
    credential: str, timestamp: str | None, signed_headers: str, signature: str, token: str | None
) -> _Claim:
    access_key_id, *scope = credential.split("/")
    if len(scope) != 4 or scope[3] != "aws4_request":
        raise SignatureError(
            "IncompleteSignature", "Credential must have exactly 5 slash-delimited elements."
        )
    if not timestamp:
        raise SignatureError("IncompleteSignature", "Request is missing its X-Amz-Date.")
    names = tuple(signed_headers.split(";"))
    return _Claim(access_key_id, tuple(scope), timestamp, names, signature, token)


def _key(claim: _Claim, service: str, region: str, keys: KeyRing, now: float) -> AccessKey:
    key = keys.find(claim.access_key_id)
    token = claim.token or ""
    if key is None or not hmac.compare_digest(token.encode(), (key.session_token or "").encode()):
        raise SignatureError("InvalidClientTokenId", "The security token included in the request is invalid.")
    if key.has_expired(now):
        raise SignatureError("ExpiredToken", "The security token included in the request is expired")
    date, its_region, its_service, _ = claim.scope
    if its_service != service:
        raise SignatureError(
            "SignatureDoesNotMatch", f"Credential should be scoped to correct service: '{service}'."
        )
    if its_region != region:
        raise SignatureError(
            "SignatureDoesNotMatch", f"Credential should be scoped to a valid region, not '{its_region}'."
        )
    if date != claim.timestamp[:8]:
        raise SignatureError(
            "SignatureDoesNotMatch",
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date: "
            f"'{date}' != '{claim.timestamp[:8]}', from '{claim.timestamp}'.",
        )
    return key


def _check_clock(claim: _Claim, now: float) -> None:
    signed, here = _moment(claim.timestamp), datetime.fromtimestamp(now, UTC)
    if signed < here - _SKEW:
        raise SignatureError(
            "SignatureDoesNotMatch",
            f"Signature expired: {claim.timestamp} is now earlier than {_stamp(here - _SKEW)} "
            f"({_stamp(here)} - 15 min.)",
        )
    _check_begun(claim, signed, here)


def _check_life(claim: _Claim, expires: str, now: float) -> None:
    if not expires.isascii() or not expires.isdigit() or not 0 < int(expires) <= _LONGEST:
        raise SignatureError(
            "IncompleteSignature", f"X-Amz-Expires must be a number of seconds from 1 to {_LONGEST}."
        )
    signed, here = _moment(claim.timestamp), datetime.fromtimestamp(now, UTC)
    if here >= signed + timedelta(seconds=int(expires)):
        raise SignatureError(
            "AccessDenied",
            f"Request has expired: it was signed at {claim.timestamp} for {expires} seconds, "
            f"and now it is {_stamp(here)}.",
        )
    _check_begun(claim, signed, here)


def _check_begun(claim: _Claim, signed: datetime, here: datetime) -> None:
    if signed > here + _SKEW:
        raise SignatureError(
            "SignatureDoesNotMatch",
            f"Signature not yet current: {claim.timestamp} is still later than {_stamp(here + _SKEW)} "
            f"({_stamp(here)} + 15 min.)",
        )


def _moment(timestamp: str) -> datetime:
    try:
        return datetime.strptime(timestamp, SIGV4_TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        raise SignatureError(
            "IncompleteSignature", f"Date must be in ISO-8601 'basic format'. Got '{timestamp}'."
        ) from None


def _stamp(moment: datetime) -> str:
    return moment.strftime(SIGV4_TIMESTAMP)


def _signed(headers: Mapping[str, str], claim: _Claim) -> dict[str, str]:
    if "host" not in claim.signed_headers:
        raise SignatureError(
            "SignatureDoesNotMatch",
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        )
    if missing := [name for name in claim.signed_headers if name not in headers]:
        raise SignatureError(
            "SignatureDoesNotMatch", f"The signed header {missing[0]!r} is not in the request."
        )
    return {name: headers[name] for name in claim.signed_headers}


def _check_signature(request: AWSRequest, claim: _Claim, key: AccessKey, service: str, region: str) -> None:
    signer = _Verifier(Credentials(key.id, key.secret, key.session_token), service, region)
    request.context["timestamp"] = claim.timestamp
    string_to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    expected: str = signer.signature(string_to_sign, request)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise SignatureError(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your AWS "
            "Secret Access Key and signing method. Consult the service documentation for details.",
        )
