from dataclasses import replace

from discovery.merge import Reading, merge, not_found
from discovery.model import DatabaseKind, Endpoint, HandedOnUser, SourceState, Tls
from discovery.source import Answer, FoundDatabase
from tests.discovery.records import EAST, WEST, answer, database, key, user


def test_names_are_resolved_across_sources():
    inventory = merge(
        [
            Reading("east", answer([database("orders")], [user("app", ["orders"])]), 1.0),
            Reading("west", answer([database("orders", WEST)], [user("app", ["orders"], WEST)]), 1.0),
        ]
    )
    east, west = (f"orders-elasticache-{place.region}-111111111111" for place in (EAST, WEST))
    assert list(inventory.databases) == [east, west]
    assert all(name == one.name for name, one in inventory.databases.items())
    assert [one.databases for one in inventory.users.values()] == [(east,), (west,)]


def test_static_names_win():
    inventory = merge(
        [
            Reading("east", answer([database("orders")]), 1.0),
            Reading("static", answer([database("orders", None)]), 1.0),
        ]
    )
    assert inventory.databases["orders"].place is None
    assert "orders-elasticache-us-east-1-111111111111" in inventory.databases


def test_of_two_sources_that_overlap_the_newer_reading_is_believed_and_reach_adds_up():
    old, new = Endpoint("old.example", 6379), Endpoint("new.example", 6379)
    readings = [
        Reading(
            "b",
            answer(
                [database("orders", endpoint=new), database("b")],
                [user("app", ["orders", "b"], managed=True)],
            ),
            2.0,
        ),
        Reading(
            "a",
            answer([database("orders", endpoint=old), database("a")], [user("app", ["orders", "a"])]),
            1.0,
        ),
    ]
    for order in (readings, readings[::-1]):
        inventory = merge(order)
        assert list(inventory.databases) == ["a", "b", "orders"]
        assert inventory.databases["orders"].endpoint == new
        [app] = inventory.users.values()
        assert app.managed
        assert app.databases == ("a", "b", "orders")


def test_every_source_says_how_it_is():
    inventory = merge(
        [
            Reading("good", answer(), 5.0),
            Reading("stale", answer([database("orders")]), 1.0, "throttled"),
            Reading("never", None, None, "denied"),
            Reading("unread"),
        ]
    )
    assert inventory.sources == (
        SourceState("good", 5.0, None),
        SourceState("stale", 1.0, "throttled", stale=True),
        SourceState("never", None, "denied"),
        SourceState("unread", None, None),
    )
    assert list(inventory.databases) == ["orders"]


def legacy(found, **changes):
    """A static database on the endpoint of a discovered one."""
    changes = {"endpoint": found.endpoint, "tls": Tls(ca_file="/etc/ca.pem")} | changes
    return database("legacy", None, **changes)


def stood_in(found, *names):
    return FoundDatabase(
        key(found.name, found.place), found, stood_in_by=tuple(key(one, None) for one in names)
    )


ORDERS = database(
    "orders",
    kind=DatabaseKind.SERVERLESS,
    resource_id="orders",
    cluster_mode=True,
    nodes=(Endpoint("node.example", 6379),),
    labels={"region": "us-east-1", "env": "test"},
    engine="valkey",
    engine_version="8.0",
    description="AWS's own words",
)


def test_a_static_database_stands_in_for_the_discovered_one_and_whoever_reaches_that_reaches_it():
    written = legacy(
        ORDERS,
        labels={"env": "prod"},
        description="The old one",
        handed_on=(HandedOnUser("batch", "/run/batch"),),
    )
    app = user("app", [key("orders"), key("others")])
    readings = [
        Reading("static", answer([written]), 1.0),
        Reading("east", Answer((stood_in(ORDERS, "legacy"),), (app,)), 2.0),
        Reading("west", answer([database("others")]), 3.0),
    ]
    for order in (readings, readings[::-1]):
        inventory = merge(order)
        assert dict(inventory.databases) == {
            "legacy": replace(
                ORDERS,
                name="legacy",
                tls=Tls(ca_file="/etc/ca.pem"),
                labels={"region": "us-east-1", "env": "prod"},
                description="The old one",
                handed_on=(HandedOnUser("batch", "/run/batch"),),
            ),
            "others": database("others"),
        }
        [reaching] = inventory.users.values()
        assert reaching.databases == ("legacy", "others")


def test_an_alias_keeps_its_own_endpoint_and_awss_words_stand_where_there_are_no_others():
    alias = legacy(ORDERS, endpoint=Endpoint("orders.internal.example", 6380))
    inventory = merge(
        [
            Reading("static", answer([alias]), 1.0),
            Reading("east", Answer((stood_in(ORDERS, "legacy"),)), 2.0),
        ]
    )
    [one] = inventory.databases.values()
    assert one.endpoint == Endpoint("orders.internal.example", 6380)
    assert one.nodes == ORDERS.nodes
    assert one.description == "AWS's own words"


def test_two_names_of_one_database_are_two_databases_that_the_same_users_reach():
    both = [legacy(ORDERS), replace(legacy(ORDERS), name="second")]
    inventory = merge(
        [
            Reading("static", answer(both), 1.0),
            Reading(
                "east", Answer((stood_in(ORDERS, "legacy", "second"),), (user("app", [key("orders")]),)), 2.0
            ),
        ]
    )
    assert list(inventory.databases) == ["legacy", "second"]
    assert {one.kind for one in inventory.databases.values()} == {DatabaseKind.SERVERLESS}
    assert [one.databases for one in inventory.users.values()] == [("legacy", "second")]


def test_what_is_stood_in_for_needs_no_name_and_clashes_with_none():
    other = database("legacy", WEST)
    inventory = merge(
        [
            Reading("static", answer([legacy(ORDERS)]), 1.0),
            Reading("east", Answer((stood_in(replace(ORDERS, name="orders"), "legacy"),)), 2.0),
            Reading("west", answer([other, database("orders", WEST)]), 3.0),
        ]
    )
    assert list(inventory.databases) == ["legacy", "legacy-elasticache-us-west-2-111111111111", "orders"]
    assert inventory.databases["legacy"].resource_id == "orders"
    assert inventory.databases["orders"].place == WEST


def test_one_source_that_recognises_it_is_enough_whichever_was_read_last():
    plain = answer([ORDERS], [user("app", ["orders"])])
    knowing = Answer((stood_in(ORDERS, "legacy"),), ())
    for first, second in ((plain, knowing), (knowing, plain)):
        inventory = merge(
            [
                Reading("static", answer([legacy(ORDERS)]), 0.0),
                Reading("a", first, 1.0),
                Reading("b", second, 2.0),
            ]
        )
        assert list(inventory.databases) == ["legacy"]
        assert [one.databases for one in inventory.users.values()] == [("legacy",)]


def sought(*sources):
    found = FoundDatabase(key("legacy", None), legacy(ORDERS), sought_in=sources)
    return Reading("static", Answer((found,)), 1.0)


def test_a_static_database_that_is_nowhere_is_named_once_every_source_has_answered():
    static = sought("a", "b")
    assert not_found([static, Reading("a", answer(), 1.0), Reading("b", None, None, "denied")]) == ()
    [missing] = not_found([static, Reading("a", answer(), 1.0), Reading("b", answer([ORDERS]), 1.0, "stale")])
    assert missing.resource == "static database legacy"
    for part in ("a and b", "orders.example:6379", "aws.resource_id"):
        assert part in missing.reason
    found = Reading("b", Answer((stood_in(ORDERS, "legacy"),)), 1.0)
    assert not_found([static, Reading("a", answer(), 1.0), found]) == ()
    assert not_found([sought()]) == ()
