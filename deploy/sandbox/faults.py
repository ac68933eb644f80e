"""Faults that tests ask for: requests held, refused, or answered into the void."""

import itertools
import threading
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from deploy.sandbox.requests import Call

__all__ = ["Action", "Fault", "Faults", "When"]

When = Literal["before", "after"]
Action = Literal["hold", "throttle", "fail", "lose"]


@dataclass(eq=False)
class Fault:
    """What shall happen to the next requests of a kind, before their effect or after it."""

    service: str
    operation: str
    action: Action
    when: When
    count: int | None = 1
    """How many requests it is for; None for all."""
    skip: int = 0
    """How many requests that it fits pass before."""
    drop: bool = False
    """Whether what was held before its effect is dropped when it is let go, as if it had never arrived."""
    match: str = ""
    """Text that the request's body must contain, as it travels: form-encoded, or JSON."""
    code: str = "InternalFailure"
    status: int = 500
    id: str = ""
    hit: int = 0
    """Requests that it has reached: with `after`, their effect has happened."""
    waiting: int = 0
    released: int = 0
    """Of the requests that were held, those that may go on."""
    arrivals: int = field(default=0, repr=False)
    passed: int = field(default=0, repr=False)

    @classmethod
    def of(cls, wish: dict[str, Any]) -> "Fault":
        """Read a fault off the control API's JSON.

        Raises:
            ValueError: it names an unknown key or value, or lacks the service or the operation.
        """
        known = {"service", "operation", "action", "when", "count", "skip", "drop", "match", "code", "status"}
        if unknown := wish.keys() - known:
            raise ValueError(f"unknown key {min(unknown)!r}; known are {sorted(known)}")
        if missing := {"service", "operation", "action"} - wish.keys():
            raise ValueError(f"{min(missing)!r} is missing")
        # An answer can only be lost when there is one.
        wish = {"when": "after" if wish["action"] == "lose" else "before", **wish}
        if wish["action"] not in get_args(Action) or wish["when"] not in get_args(When):
            raise ValueError(f"action is one of {get_args(Action)}, when is one of {get_args(When)}")
        return cls(**wish)

    def shown(self) -> dict[str, Any]:
        """Return it as the control API shows it."""
        hidden = {"arrivals", "released", "passed"}
        return {name: value for name, value in vars(self).items() if name not in hidden}


class Faults:
    """All faults that are set; a held request waits here, on its own thread, in nobody's way."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ids = itertools.count(1)
        self._faults: dict[str, Fault] = {}

    def add(self, fault: Fault) -> Fault:
        """Set a fault."""
        with self._changed:
            fault.id = str(next(self._ids))
            self._faults[fault.id] = fault
            return fault

    def get(self, fault_id: str) -> Fault:
        """Return a fault, or raise KeyError."""
        with self._changed:
            return self._faults[fault_id]

    def all(self) -> list[Fault]:
        """Return the faults that are set, used up or not."""
        with self._changed:
            return list(self._faults.values())

    def remove(self, fault_id: str) -> None:
        """Take a fault back: what it holds goes on. Raises KeyError."""
        with self._changed:
            fault = self._faults.pop(fault_id)
            fault.released = fault.arrivals
            self._changed.notify_all()

    def release(self, fault_id: str) -> Fault:
        """Let go on what a fault holds now; raises KeyError."""
        with self._changed:
            fault = self._faults[fault_id]
            fault.released = fault.arrivals
            self._changed.notify_all()
            return fault

    def reached(self, fault_id: str, hits: int, timeout: float) -> tuple[Fault, bool]:
        """Wait until a fault has been hit `hits` times; says whether it was. Raises KeyError."""
        with self._changed:
            fault = self._faults[fault_id]
            return fault, self._changed.wait_for(lambda: fault.hit >= hits, timeout)

    def strike(self, call: Call, body: bytes, when: When) -> Fault | None:
        """Return the fault that this request meets now, after the time that it is held."""
        with self._changed:
            fault = next((fault for fault in self._faults.values() if _meets(fault, call, body, when)), None)
            if fault is None:
                return None
            if fault.passed < fault.skip:
                fault.passed += 1
                return None
            fault.hit += 1
            self._changed.notify_all()
            if fault.action == "hold":
                fault.arrivals += 1
                fault.waiting += 1
                self._changed.notify_all()
                place = fault.arrivals
                self._changed.wait_for(lambda: fault.released >= place)
                fault.waiting -= 1
            return fault


def _meets(fault: Fault, call: Call, body: bytes, when: When) -> bool:
    return (
        fault.when == when
        and fault.service in ("*", call.service)
        and fault.operation in ("*", call.operation)
        and (fault.count is None or fault.hit < fault.count)
        and fault.match.encode() in body
    )
