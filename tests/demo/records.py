"""Events and answers as the service gives them."""

from datetime import UTC, datetime

from deploy.demo.state import State

STARTED_AT = 1_800_000_000.0
APP = "elasticache/us-east-1/123456789012/user/app"
LEGACY = "elasticache/us-east-1/123456789012/user/legacy"


def event(name, at=0.0, **fields):
    """An event so many seconds after the start of the command."""
    moment = datetime.fromtimestamp(STARTED_AT + at, UTC).isoformat().replace("+00:00", "Z")
    return {"event": name, "level": "info", "timestamp": moment, **fields}


def rotation(result, at, user=APP, took=1.0):
    return event("rotation", at, user=user, result=result, reason=None, seconds=took)


def database(name, role, users=("app",)):
    return {
        "name": name,
        "endpoint": "127.0.0.1:1",
        "engine": "redis",
        "labels": {"endpoint-type": role},
        "users": list(users),
        "socket": f"/run/{name}.sock",
    }


def user(name, care="managed", age=3.0):
    managed = care == "managed"
    return {
        "id": name,
        "name": name,
        "service": "elasticache",
        "region": "us-east-1",
        "account": "123456789012",
        "care": care,
        "state": "fresh" if managed else care,
        "reason": "",
        "password_age_seconds": age if managed else None,
        "due_in_seconds": 15 - age if managed else None,
    }


DATABASES = [database("orders", "primary"), database("orders-reader", "reader")]
USERS = [user("app"), user("legacy", "passed-through")]


def state(*events, now=10.0, **fields):
    """What the demo knows after these events and an answer of the service."""
    known = State(started_at=STARTED_AT, interval=15.0, duration=45.0, ready_at=5.0, **fields)
    for one in events:
        known = known.take_event(one)
    return known.take_answers(DATABASES, USERS, now)
