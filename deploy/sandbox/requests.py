"""What was asked of AWS: each request's facts, and the log of them. Never a body."""

import dataclasses
import itertools
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

__all__ = ["Call", "RequestLog"]

_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
# The name under which a service signs is not always the one that boto3 calls it by.
_BOTO3_NAMES = {"tagging": "resourcegroupstaggingapi"}
_ERROR_CODE = re.compile(rb'<Code>([^<]+)</Code>|"__type":\s*"(?:[^"#]*#)?([^"]+)"')


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks which operation of which service."""

    service: str
    operation: str
    region: str
    access_key_id: str
    user_agent: str
    json: bool
    """Whether the service speaks JSON; else it is the query protocol with XML."""
    signing_name: str
    """The service, as the signature calls it."""
    presigned: bool
    """Whether the signature is in the address; else it is in a header."""

    @classmethod
    def of(cls, environ: dict[str, Any], body: bytes) -> "Call":
        """Read the facts off a request."""
        query = parse_qs(environ.get("QUERY_STRING", ""))
        presigned = "X-Amz-Credential" in query
        credential = f"Credential={query['X-Amz-Credential'][0]}" if presigned else ""
        signed = _CREDENTIAL.search(credential or environ.get("HTTP_AUTHORIZATION", ""))
        service = signed["service"] if signed else ""
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        form = {} if target else query | parse_qs(body.decode(errors="replace"))
        return cls(
            service=_BOTO3_NAMES.get(service, service),
            operation=target.rpartition(".")[2] or form.get("Action", [""])[0],
            region=signed["region"] if signed else "",
            access_key_id=signed["key"] if signed else "",
            user_agent=environ.get("HTTP_USER_AGENT", ""),
            json=bool(target),
            signing_name=service,
            presigned=presigned,
        )


@dataclass(slots=True)
class Entry:
    """One line of the log; `status` is None until there is an answer, and for ever if it was lost."""

    sequence: int
    time: float
    service: str
    operation: str
    region: str
    account: str
    access_key_id: str
    user_agent: str
    status: int | None = None
    code: str | None = None


class RequestLog:
    """The requests to AWS in the order of their arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sequence = itertools.count(1)
        self._entries: list[Entry] = []

    def begin(self, call: Call, account: str) -> Entry:
        """Note a request that has arrived."""
        with self._lock:
            entry = Entry(
                next(self._sequence),
                time.time(),
                call.service,
                call.operation,
                call.region,
                account,
                call.access_key_id,
                call.user_agent,
            )
            self._entries.append(entry)
            return entry

    def end(self, entry: Entry, status: int, body: bytes) -> None:
        """Note its answer: the status, and AWS's code if it is an error."""
        entry.status = status
        if status >= 400 and (found := _ERROR_CODE.search(body)):
            entry.code = (found[1] or found[2]).decode()

    def since(self, sequence: int) -> list[dict[str, Any]]:
        """Return the requests after `sequence`."""
        with self._lock:
            return [dataclasses.asdict(entry) for entry in self._entries if entry.sequence > sequence]

    def counts(self) -> dict[str, int]:
        """Return how often each `service.Operation` was asked."""
        with self._lock:
            return dict(Counter(f"{entry.service}.{entry.operation}" for entry in self._entries))

    def reset(self) -> None:
        """Forget all; the sequence goes on."""
        with self._lock:
            self._entries.clear()
