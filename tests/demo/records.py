"""Events and answers as the service gives them."""

from datetime import UTC, datetime

from deploy.demo.state import State

STARTED_AT = 1_800_000_000.0
APP = "elasticache/us-east-1/123456789012/user/app"
LEGACY = "elasticache/us-east-1/123456789012/user/legacy"
REPORTING = "elasticache/us-east-1/123456789012/user/reporting"
WEB = "memorydb/us-east-1/123456789012/user/web"
AUDIT = "memorydb/us-east-1/123456789012/user/session-audit"
OPS = "memorydb/us-east-1/123456789012/user/ops"


def at(seconds):
    """A moment of the demo, as the service writes it."""
    return datetime.fromtimestamp(STARTED_AT + seconds, UTC).isoformat().replace("+00:00", "Z")


def event(name, moment=0.0, **fields):
    """An event so many seconds after the start of the command."""
    return {"event": name, "level": "info", "timestamp": at(moment), **fields}


def rotation(result, seconds, user=APP, took=1.0):
    return event("rotation", seconds, user=user, result=result, reason=None, seconds=took)


def database(name, role, users=("app", "reporting"), kind="elasticache"):
    return {
        "name": name,
        "kind": kind,
        "endpoint": "127.0.0.1:41297",
        "engine": "redis",
        "engine_version": "7.0",
        "labels": {"endpoint-type": role},
        "users": list(users),
        "socket": f"/run/{name}.sock",
    }


def user(name, care="managed", service="elasticache", age=3.0, token_ends=905.0):
    managed, iam = care == "managed", care == "iam"
    return {
        "id": name,
        "name": name,
        "service": service,
        "region": "us-east-1",
        "account": "123456789012",
        "databases": ["orders", "orders-reader"] if service == "elasticache" else ["sessions"],
        "care": care,
        "state": "fresh" if managed or iam else care,
        "reason": "",
        "password_age_seconds": age if managed else None,
        "token_expires_at": at(token_ends) if iam and token_ends is not None else None,
        "due_in_seconds": 15 - age if managed else None,
    }


DATABASES = [
    database("orders", "primary"),
    database("orders-reader", "reader"),
    database("sessions", "cluster", ("session-audit", "web"), "memorydb"),
]
USERS = [
    user("app"),
    user("legacy", "passed-through"),
    user("reporting", "iam"),
    user("ops", "passed-through", "memorydb"),
    user("session-audit", "iam", "memorydb"),
    user("web", service="memorydb"),
]


def state(*events, now=10.0, **fields):
    """What the demo knows after these events and an answer of the service."""
    known = State(started_at=STARTED_AT, interval=15.0, duration=45.0, ready_at=5.0, **fields)
    for one in events:
        known = known.take_event(one)
    return known.take_answers(DATABASES, USERS, now)
