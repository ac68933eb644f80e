"""From an account's users to a server's rules."""

import hashlib

import pytest

from deploy.sandbox.acl import Login, access_string_problem, changes, rules


def test_a_password_becomes_its_digest():
    digest = hashlib.sha256(b"p" * 16).hexdigest()
    assert rules("app", Login("on ~* +@all", "password", ("p" * 16,))) == (
        "reset",
        f"#{digest}",
        "on",
        "~*",
        "+@all",
    )


def test_an_iam_user_has_no_password_that_redis_knows():
    assert rules("app", Login("on ~* +@all", "iam")) == ("reset", "resetpass", "on", "~*", "+@all")


def test_a_user_without_password_stays_one():
    assert rules("app", Login("on ~* +@all", "no-password"))[:2] == ("reset", "nopass")


@pytest.mark.parametrize("authentication", ["no-password", "iam"])
def test_the_default_user_is_off_unless_it_has_a_password(authentication):
    assert rules("default", Login("on ~* +@all", authentication)) == ("reset", "resetpass", "off")
    assert rules("default", Login("on ~* +@all", "password", ("p" * 16,)))[-3:] == ("on", "~*", "+@all")


def test_only_what_differs_is_changed():
    held = {
        "same": ("reset", "on"),
        "changed": ("reset", "on"),
        "gone": ("reset", "on"),
        "default": ("reset", "on"),
    }
    wanted = {"same": ("reset", "on"), "changed": ("reset", "off"), "new": ("reset", "on")}
    assert sorted(changes(held, wanted)) == [
        ("DELUSER", "gone"),
        ("SETUSER", "changed", "reset", "off"),
        ("SETUSER", "default", "reset"),
        ("SETUSER", "new", "reset", "on"),
    ]


@pytest.mark.parametrize(
    ("access_string", "problem"),
    [
        ("on ~* +@all", None),
        ("on ~app:* %R~shared:* &news +@read -keys +config|get", None),
        ("off -@all", None),
        ("on ~* (+get ~x:*) +@all", None),
        ("on >password ~*", ">password"),
        ("on nopass ~*", "nopass"),
        ("on resetpass", "resetpass"),
        ("on #0123", "#0123"),
        ("hello", "hello"),
    ],
)
def test_an_access_string_is_about_access_alone(access_string, problem):
    assert access_string_problem(access_string) == problem
