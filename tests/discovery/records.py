"""Small inventories for tests about scans."""

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
from discovery.source import Answer, FoundDatabase

EAST = Place("111111111111", "us-east-1")
WEST = Place("111111111111", "us-west-2")


def database(name, place=EAST, **changes):
    kind = DatabaseKind.STATIC if place is None else DatabaseKind.ELASTICACHE
    return Database(
        **{"name": name, "kind": kind, "endpoint": Endpoint(f"{name}.example", 6379), "place": place}
        | changes
    )


def key(name, place=EAST):
    return f"{place}/{name}"


def user(user_id, databases, place=EAST, *, managed=False, status=UserStatus.ACTIVE):
    return User(
        key=UserKey(Service.ELASTICACHE, place.account, place.region, user_id),
        name=user_id,
        arn=f"arn:aws:elasticache:{place.region}:{place.account}:user:{user_id}",
        status=status,
        authentication=Authentication.PASSWORD,
        managed=managed,
        enabled=True,
        databases=tuple(databases),
    )


def answer(databases=(), users=(), skipped=()):
    """What a source answers that found these databases, and users whose reach is given by database name."""
    found = tuple(FoundDatabase(key(one.name, one.place), one) for one in databases)
    places = {one.name: one.place for one in databases}
    return Answer(
        found,
        tuple(
            user(
                one.key.id,
                [key(name, places.get(name, one.key.place)) for name in one.databases],
                one.key.place,
                managed=one.managed,
                status=one.status,
            )
            for one in users
        ),
        tuple(skipped),
    )
