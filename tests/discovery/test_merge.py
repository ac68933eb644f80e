from discovery.merge import Reading, merge
from discovery.model import Endpoint, SourceState
from tests.discovery.records import EAST, WEST, answer, database, user


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
