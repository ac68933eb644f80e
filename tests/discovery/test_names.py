from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.names import NAME, Claim, database_name, resolve

EAST = "-elasticache-us-east-1-111111111111"
WEST = "-elasticache-us-west-2-111111111111"


@pytest.mark.parametrize(
    ("resource", "tags", "ending", "name"),
    [
        ("orders", {}, "", "orders"),
        ("orders", {}, "-reader", "orders-reader"),
        ("orders", {"TeleportDatabaseName": "shop"}, "", "shop"),
        ("orders", {"TeleportDatabaseName": "shop"}, "-reader", "shop-reader"),
        ("orders", {"teleport.dev/database_name": "new", "TeleportDatabaseName": "old"}, "", "new"),
        ("orders", {"TeleportDatabaseName": "My Shop/EU"}, "", "my-shop-eu"),
        ("orders", {"TeleportDatabaseName": "???"}, "", "orders"),
        ("Orders_2", {}, "", "orders-2"),
    ],
)
def test_a_resource_is_called_by_its_id_or_its_tag(resource, tags, ending, name):
    assert database_name(resource, tags, ending) == name


@given(st.text(min_size=1, max_size=300), st.sampled_from(["", "-reader"]))
def test_whatever_a_tag_says_the_name_is_valid(override, ending):
    assert NAME.fullmatch(database_name("orders", {"TeleportDatabaseName": override}, ending))


def test_long_names_that_differ_at_the_end_stay_different():
    one, other = (database_name("orders", {"TeleportDatabaseName": "x" * 70 + last}) for last in "ab")
    assert one != other
    assert len(one) == len(other) == 63


def test_names_that_nobody_else_wants_stay_short():
    claims = [Claim("a", "orders", EAST), Claim("b", "users", EAST)]
    assert resolve(claims) == {"a": "orders", "b": "users"}


def test_both_that_clash_get_a_suffix_whatever_the_order():
    claims = [Claim("a", "orders", EAST), Claim("b", "orders", WEST), Claim("c", "users", WEST)]
    for order in permutations(claims):
        assert resolve(order) == {"a": f"orders{EAST}", "b": f"orders{WEST}", "c": "users"}


def test_a_static_name_never_gives_way():
    claims = [Claim("static/orders", "orders", fixed=True), Claim("a", "orders", EAST)]
    for order in permutations(claims):
        assert resolve(order) == {"static/orders": "orders", "a": f"orders{EAST}"}


def test_a_suffix_that_clashes_with_a_third_name_is_told_apart_too():
    claims = [
        Claim("a", "orders", EAST),
        Claim("b", "orders", WEST),
        Claim("static/c", f"orders{EAST}", fixed=True),
    ]
    names = resolve(claims)
    assert names["static/c"] == f"orders{EAST}"
    assert names["b"] == f"orders{WEST}"
    assert names["a"].startswith("orders-")
    assert len(set(names.values())) == 3


def test_one_override_tag_on_two_groups_of_a_region_still_makes_two_names():
    claims = [Claim("arn:1", "shop", EAST), Claim("arn:2", "shop", EAST)]
    for order in permutations(claims):
        names = resolve(order)
        assert len(set(names.values())) == 2
        assert all(name.startswith("shop-") for name in names.values())
    assert resolve(claims) == resolve(reversed(claims))


@given(
    st.lists(
        st.builds(
            Claim,
            key=st.text(min_size=1, max_size=5),
            wanted=st.sampled_from(["a", "b", f"a{EAST}", "a" * 60]),
            suffix=st.sampled_from([EAST, WEST]),
        ),
        unique_by=lambda claim: claim.key,
    ),
    st.randoms(),
)
def test_names_are_always_valid_unique_and_independent_of_order(claims, random):
    names = resolve(claims)
    assert len(set(names.values())) == len(claims)
    assert all(NAME.fullmatch(name) for name in names.values())
    shuffled = random.sample(claims, len(claims))
    assert resolve(shuffled) == names
