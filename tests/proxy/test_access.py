"""Who may do what, as a table."""

import pytest
from pydantic import ValidationError

from proxy.access import LOCAL, Identity, Policy
from proxy.roles import Role

BACKEND = Role(name="backend", databases=["orders", "carts-*"], db_users=["app", "batch-*"])
PROD = Role(name="prod", databases={"env": "prod", "team": ["a", "b"]}, db_users=["*"])
SERVICE = Policy(990, 980, (BACKEND, PROD))


@pytest.mark.parametrize(
    ("identity", "allowed"),
    [
        (Identity(0, frozenset({0})), True),
        (Identity(990, frozenset({5})), True),
        (Identity(1000, frozenset({980})), True),
        (Identity(1000, frozenset({1000, 980})), True),
        (Identity(1000, frozenset({1000, 0})), False),
        (Identity(65534, frozenset()), False),
        (LOCAL, True),
    ],
)
def test_the_default_role(identity, allowed):
    refusal = SERVICE.refusal(identity, "orders", {}, "app")
    assert (refusal is None) == allowed


def test_a_refusal_says_who_what_and_what_to_do():
    refusal = SERVICE.refusal(Identity(1000, frozenset({1000})), "orders", {}, "app")
    assert refusal == (
        "uid 1000 may not use database 'orders' as user 'app'; call as root or as uid 990, or join group 980"
    )


def visitor(role, host="10.0.0.7"):
    return Identity(role=role, host=host, port=51234)


LABELS = {"env": "prod", "team": "b", "more": "x"}


@pytest.mark.parametrize(
    ("role", "database", "labels", "user", "allowed"),
    [
        ("backend", "orders", {}, "app", True),
        ("backend", "orders", {}, "batch-7", True),
        ("backend", "orders", {}, "batch-\n7", True),
        ("backend", "orders", {}, "batch", False),
        ("backend", "orders", {}, "my-app", False),
        ("backend", "orders", {}, "app\n", False),
        ("backend", "orders", {}, "default", False),
        ("backend", "orders", {}, "", False),
        ("backend", "carts-2", {}, "app", True),
        ("backend", "carts", {}, "app", False),
        ("backend", "orders-reader", {}, "app", False),
        ("backend", "", {}, "app", False),
        ("prod", "anything", LABELS, "whoever", True),
        ("prod", "anything", {"env": "prod"}, "whoever", False),
        ("prod", "anything", {"env": "test", "team": "a"}, "whoever", False),
        ("prod", "anything", {}, "whoever", False),
        ("gone", "orders", LABELS, "app", False),
    ],
)
def test_a_role_permits_what_it_says_and_nothing_else(role, database, labels, user, allowed):
    assert (SERVICE.refusal(visitor(role), database, labels, user) is None) == allowed


def test_what_a_role_lacks_is_said():
    def refusal(*asked):
        return SERVICE.refusal(visitor("backend"), *asked)

    assert refusal("stock", {}, "app") == (
        "role 'backend' does not permit database 'stock'; add it to the role's databases in access.roles"
    )
    assert refusal("orders", {}, "dba") == (
        "role 'backend' does not permit user 'dba' of database 'orders'; "
        "log in as app or batch-*, or add the user to the role's db_users in access.roles"
    )


def test_who_comes_from_somewhere_without_a_role_may_do_nothing():
    """No way of making an identity lets a stranger in by mistake."""
    for identity in (visitor(None), Identity(pid=1), Identity(gids=frozenset({5}))):
        assert SERVICE.refusal(identity, "orders", {}, "app") is not None


def test_a_role_of_the_listener_is_no_addition_to_the_default_role():
    assert SERVICE.refusal(Identity(uid=0, role="backend"), "orders", {}, "dba") is not None


def test_who_it_is_and_what_counts_as_the_same():
    assert str(visitor("backend")) == "tls 10.0.0.7:51234 (role backend)"
    assert str(visitor("backend", "2001:db8::7")) == "tls [2001:db8::7]:51234 (role backend)"
    assert visitor("a").counted_as == visitor("b").counted_as == "10.0.0.7"
    assert (Identity(uid=1000).counted_as, LOCAL.counted_as) == (1000, None)


@pytest.mark.parametrize("role", [BACKEND, PROD])
def test_a_role_stays_the_same_on_its_way_to_a_worker(role):
    assert Role.model_validate_json(role.model_dump_json()) == role


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "a b"}, "letters, digits and ._-"),
        ({"name": "default"}, "choose another name"),
        ({"databases": []}, "expected a list of names"),
        ({"databases": "orders"}, "expected a list of names"),
        ({"databases": ["Orders"]}, "'Orders' is no database's name"),
        ({"databases": {}}, "selects nothing"),
        ({"databases": {"env": "^($"}}, "not a regular expression"),
        ({"db_users": []}, "at least 1"),
        ({"db_users": [""]}, "at least 1"),
        ({"users": ["x"]}, "Extra inputs"),
    ],
)
def test_a_role_that_cannot_be_meant_is_refused(change, words):
    with pytest.raises(ValidationError) as refused:
        Role.model_validate({"name": "a", "databases": ["*"], "db_users": ["*"]} | change)
    assert words in str(refused.value)
