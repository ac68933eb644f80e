"""Short ways to write down what the tests are about."""

from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from discovery.model import (
    Authentication,
    Database,
    DatabaseKind,
    Endpoint,
    Inventory,
    Place,
    Service,
    User,
    UserKey,
    UserStatus,
)
from proxy.directory import Credential
from rotator.observation import Secret, Version
from rotator.standing import Care, Standing
from rotator.users import UserState

PLACE = Place("123456789012", "us-east-1")
NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)
INTERVAL = timedelta(minutes=15)
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:valkeeper/app-AbCdEf"

ACTIVE = UserState(UserStatus.ACTIVE, enabled=True, authentication=Authentication.PASSWORD, password_count=1)


def user_key(user_id="app", *, account=PLACE.account, region=PLACE.region):
    return UserKey(Service.ELASTICACHE, account, region, user_id)


def user(user_id="app", *, name=None, databases=("orders",), managed=True, place=PLACE, **changes):
    fields = {
        "key": user_key(user_id, account=place.account, region=place.region),
        "name": name or user_id,
        "arn": f"arn:aws:elasticache:{place.region}:{place.account}:user:{user_id}",
        "status": UserStatus.ACTIVE,
        "authentication": Authentication.PASSWORD,
        "managed": managed,
        "enabled": True,
        "databases": tuple(databases),
    }
    return User(**(fields | changes))


def database(name="orders", **changes):
    fields = {
        "name": name,
        "kind": DatabaseKind.ELASTICACHE,
        "endpoint": Endpoint(f"{name}.example", 6379),
        "place": PLACE,
    }
    return Database(**(fields | changes))


def inventory(*users, databases=("orders",), sources=()):
    known = [one if isinstance(one, Database) else database(one) for one in databases]
    return Inventory({one.name: one for one in known}, {one.key: one for one in users}, tuple(sources))


def version(version_id, *, age=timedelta(0), password="secret", **changes):
    """A version of ours, made `age` before `NOW`; its password says whose it is."""
    text = f"{password}-{version_id}" if password else None
    return Version(version_id, NOW - age, password=SecretStr(text) if text else None, **changes)


def secret(current="v1", previous=None, pending=None, *, arn=ARN, **changes):
    """A secret whose labels stand on these versions; a plain id stands for a fresh version of ours."""
    versions = [version(one) if isinstance(one, str) else one for one in (current, previous, pending)]
    return Secret(arn, *versions, **changes)


def standing(one=None, care=Care.MANAGED, current="v1", previous=None, **changes):
    return Standing(one or user(), care, secret=secret(current, previous), **changes)


def credential(key="elasticache/us-east-1/123456789012/user/app", *, version="v1", username="app", **changes):
    fields = {"key": key, "kind": "managed", "username": username, "version": version}
    return Credential(**(fields | {"current": SecretStr(f"secret-{version}")} | changes))
