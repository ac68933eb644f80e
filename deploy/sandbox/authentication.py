"""Who calls: the signature of each request, checked before anything else, and refused in the service's own words."""

from typing import Any

from werkzeug.datastructures import EnvironHeaders

from deploy.sandbox.keys import AccessKey, KeyRing
from deploy.sandbox.refusals import RefusedError
from deploy.sandbox.requests import Call
from deploy.sandbox.signatures import SignatureError, verify_header, verify_query

__all__ = ["authenticate"]

# Where services speak JSON, the same errors have other names.
_JSON_CODES = {
    "AccessDenied": "AccessDeniedException",
    "ExpiredToken": "ExpiredTokenException",
    "IncompleteSignature": "IncompleteSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
}


def authenticate(environ: dict[str, Any], call: Call, body: bytes, keys: KeyRing, now: float) -> AccessKey:
    """Return the key that a request was signed with; `now` is in seconds since the epoch.

    Raises:
        RefusedError: nobody's, somebody else's, or too late.
    """
    host, target = environ.get("HTTP_HOST", ""), environ["RAW_URI"]
    headers = dict(EnvironHeaders(environ))
    try:
        if call.presigned:
            return verify_query(
                environ["REQUEST_METHOD"],
                f"http://{host}{target}",
                service=call.signing_name,
                region=call.region,
                keys=keys,
                now=now,
                headers=headers,
            )
        return verify_header(
            environ["REQUEST_METHOD"],
            target,
            headers,
            body,
            service=call.signing_name,
            region=call.region,
            keys=keys,
            now=now,
        )
    except SignatureError as error:
        if call.json:
            raise RefusedError(_JSON_CODES[error.code], error.message) from None
        status = 400 if error.code == "IncompleteSignature" else 403
        raise RefusedError(error.code, error.message, status) from None
