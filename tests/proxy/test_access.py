"""Who may do what, as a table."""

import pytest

from proxy.access import LOCAL, Identity, Policy

SERVICE = Policy(uid=990, gid=980)


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
    refusal = SERVICE.refusal(identity, "orders", "app")
    assert (refusal is None) == allowed


def test_a_refusal_says_who_what_and_what_to_do():
    refusal = SERVICE.refusal(Identity(1000, frozenset({1000})), "orders", "app")
    assert refusal == (
        "uid 1000 may not use database 'orders' as user 'app'; call as root or as uid 990, or join group 980"
    )
