"""The sandbox's control API from Python: what tests see and do behind AWS's back."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

__all__ = ["Controls", "NodeInfo", "SandboxError", "SandboxFault", "Service"]


Service = Literal["elasticache", "memorydb"]


class SandboxError(Exception):
    """The sandbox did not start, or its control API refused something."""


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One real Redis server."""

    id: str
    service: Service
    account: str
    region: str
    replication_group: str
    """The database that it is part of: a replication group, a MemoryDB cluster, or a serverless cache."""
    role: Literal["primary", "replica"]
    host: str
    port: int
    pid: int | None
    state: Literal["running", "paused", "stopped"]


class SandboxFault:
    """A fault that is set in the sandbox; see `SandboxProcess.fault`."""

    def __init__(self, sandbox: "Controls", fault_id: str) -> None:
        self._sandbox = sandbox
        self.id = fault_id

    def wait(self, hits: int = 1, timeout: float = 20.0) -> None:
        """Wait until it has been hit `hits` times; with `when="after"` these requests have had their effect.

        Raises:
            TimeoutError: it was not.
        """
        self._sandbox.control("GET", f"faults/{self.id}/wait", {"hits": hits, "timeout": timeout})

    def release(self) -> None:
        """Let the requests go on that it holds now."""
        self._sandbox.control("POST", f"faults/{self.id}/release")

    @property
    def hit(self) -> int:
        """How many requests it has reached."""
        return self._shown()["hit"]

    @property
    def waiting(self) -> int:
        """How many requests it holds now."""
        return self._shown()["waiting"]

    def _shown(self) -> dict[str, Any]:
        return self._sandbox.control("GET", f"faults/{self.id}")


class Controls:
    """The calls of the control API; how they travel is `control`'s matter."""

    region: str
    account: str

    def control(self, method: str, path: str, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        """Call the control API and return its JSON.

        Raises:
            TimeoutError: what was waited for did not happen.
            SandboxError: it refused.
        """
        raise NotImplementedError

    @contextmanager
    def fault(
        self,
        service: str,
        operation: str,
        action: Literal["hold", "throttle", "fail", "lose"],
        *,
        when: Literal["before", "after"] | None = None,
        count: int | None = 1,
        skip: int = 0,
        drop: bool = False,
        match: str = "",
        code: str = "InternalFailure",
        status: int = 500,
    ) -> Iterator[SandboxFault]:
        """Let something happen to the next requests of a kind; taken back, and what is held let go, at the end.

        Args:
            service: As boto3 calls it, or `*`.
            operation: As the API calls it (`ModifyUser`), or `*`.
            action: Hold the request until released; answer AWS's throttling error; fail with `code` and
                `status`; or lose the answer, so that the connection just ends.
            when: Before the request's effect (the default, but for `lose`) or after it.
            count: For how many requests; None for all.
            skip: How many requests of the kind pass before.
            drop: What is held before its effect is dropped when it is let go, as if it had never arrived.
            match: Text that the body must contain, form-encoded or JSON as it travels.
            code: The error code of `fail`.
            status: The HTTP status of `fail`.
        """
        wish: dict[str, Any] = {"service": service, "operation": operation, "action": action, "count": count}
        wish |= {"skip": skip, "drop": drop, "match": match, "code": code, "status": status} | (
            {"when": when} if when else {}
        )
        fault = SandboxFault(self, self.control("POST", "faults", body=wish)["id"])
        try:
            yield fault
        finally:
            self.control("DELETE", f"faults/{fault.id}")

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the AWS requests with a sequence number above `since`."""
        return self.control("GET", "requests", {"since": since})

    def request_counts(self) -> dict[str, int]:
        """Return how often each `service.Operation` was asked."""
        return self.control("GET", "requests/counts")

    def reset_requests(self) -> None:
        """Forget the requests so far."""
        self.control("DELETE", "requests")

    def passwords(
        self, user_id: str, *, service: Service = "elasticache", region: str | None = None
    ) -> list[str]:
        """Return the passwords that the servers take from a user now."""
        return self._passwords(user_id, service, region)["passwords"]

    def password_changes(
        self, user_id: str, *, service: Service = "elasticache", region: str | None = None
    ) -> list[list[str]]:
        """Return the passwords that each ModifyUser or UpdateUser left a user with, the oldest first."""
        return self._passwords(user_id, service, region)["changes"]

    def _passwords(self, user_id: str, service: Service, region: str | None) -> Any:
        query = {"service": service, "region": region or self.region, "account": self.account}
        return self.control("GET", f"passwords/{user_id}", query)

    def nodes(self, database: str | None = None, service: Service | None = None) -> list[NodeInfo]:
        """Return the account's Redis servers, of one database (replication group, cluster, cache) or of all."""
        nodes = [NodeInfo(**node) for node in self.control("GET", "nodes")]
        return [
            node
            for node in nodes
            if node.account == self.account
            and database in (None, node.replication_group)
            and service in (None, node.service)
        ]

    def node(self, node_id: str, what: Literal["stop", "start", "pause", "resume"]) -> NodeInfo:
        """Kill a server, start it again on its port, freeze it, or let it go on."""
        return NodeInfo(**self.control("POST", f"nodes/{node_id}/{what}"))

    def gate_logins(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the latest logins of IAM users, those with a sequence number above `since`.

        Each says who came (`user`) to which `database` of which `service`, `account` and `region`, at which
        `time`, whether the token was `accepted`, and the `reason` if not. The servers have the last word:
        one that was accepted may still meet a user that is off.
        """
        return self.control("GET", "gate", {"since": since})

    def set_modify_delay(self, seconds: float) -> None:
        """Say how long a change of a user or group takes; also of those that are under way."""
        self.control("PUT", "modify-delay", body={"seconds": seconds})

    def set_session_lifetime(self, seconds: float | None) -> None:
        """Say how long sessions of assumed roles live from now on; 0: they are over at once; None: as asked for."""
        self.control("PUT", "session-lifetime", body={"seconds": seconds})

    def settle(self, timeout: float = 30.0) -> None:
        """Wait until nothing is modifying, creating or deleting. Raises TimeoutError."""
        self.control("GET", "settled", {"timeout": timeout})

    def age_secret(self, secret_id: str, seconds: float) -> None:
        """Make all versions of a secret `seconds` older, as if that time had passed since they were put."""
        query = {"account": self.account, "region": self.region}
        self.control("POST", f"secrets/{quote(secret_id)}/age", query, {"seconds": seconds})

    def age_connections(self, seconds: float) -> None:
        """Let so much time pass for connections opened with a token, which end 12 hours after their latest one."""
        self.control("POST", "gate/age", body={"seconds": seconds})
