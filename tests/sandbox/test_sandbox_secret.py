"""A secret's versions and labels: the rules, one by one."""

import pytest

from deploy.sandbox.secretsmanager.secret import Secret, SecretError, Version

DAY = 24 * 3600.0


def version(name, created=0.0):
    return Version(name, created, f"value of {name}", None)


@pytest.fixture
def secret():
    return Secret("arn", "name", 0.0, 0.0)


@pytest.fixture
def promoted(secret):
    """`old` was AWSCURRENT, `new` was staged and promoted."""
    secret.put(version("old"), ["AWSCURRENT"])
    secret.put(version("new"), ["AWSPENDING"])
    secret.move("AWSCURRENT", "old", "new", 1.0)
    return secret


def refusal(call, *args):
    with pytest.raises(SecretError) as caught:
        call(*args)
    return caught.value.code


def test_the_first_version_is_current_whatever_its_labels(secret):
    secret.put(version("a"), ["AWSPENDING"])
    assert secret.labelled() == {"a": ["AWSCURRENT", "AWSPENDING"]}


def test_staging_moves_nothing_else(secret):
    secret.put(version("a"), ["AWSCURRENT"])
    secret.put(version("b"), ["AWSPENDING"])
    assert secret.labelled() == {"a": ["AWSCURRENT"], "b": ["AWSPENDING"]}


def test_a_label_has_one_holder(secret):
    for name in "abc":
        secret.put(version(name), ["AWSPENDING"])
    assert secret.labelled() == {"a": ["AWSCURRENT"], "c": ["AWSPENDING"]}


def test_a_promotion_leaves_pending_where_it_is_and_previous_follows(promoted):
    assert promoted.labelled() == {"old": ["AWSPREVIOUS"], "new": ["AWSCURRENT", "AWSPENDING"]}


def test_a_put_after_a_promotion_leaves_one_current(promoted):
    promoted.put(version("third"), ["AWSCURRENT"])
    assert promoted.labelled() == {"new": ["AWSPENDING", "AWSPREVIOUS"], "third": ["AWSCURRENT"]}


def test_a_rollback_swaps_current_and_previous(promoted):
    promoted.move("AWSCURRENT", "new", "old", 2.0)
    assert promoted.labelled() == {"old": ["AWSCURRENT"], "new": ["AWSPENDING", "AWSPREVIOUS"]}


def test_the_same_token_and_value_change_nothing(promoted):
    before = promoted.labelled()
    assert promoted.put(version("old", created=5.0), ["AWSCURRENT"]).created == 0.0
    assert promoted.labelled() == before


def test_the_same_token_with_another_value_is_refused(promoted):
    assert (
        refusal(promoted.put, Version("old", 0.0, "other", None), ["AWSPENDING"]) == "ResourceExistsException"
    )


@pytest.mark.parametrize(
    ("stage", "remove_from", "move_to", "code"),
    [
        ("AWSCURRENT", None, "old", "InvalidParameterException"),
        ("AWSCURRENT", "old", "old", "InvalidParameterException"),
        ("AWSPENDING", None, "old", "InvalidParameterException"),
        ("AWSCURRENT", "new", None, "InvalidParameterException"),
        ("AWSPENDING", None, None, "InvalidParameterException"),
        ("AWSCURRENT", "new", "nowhere", "ResourceNotFoundException"),
        ("AWSCURRENT", "nowhere", "old", "ResourceNotFoundException"),
    ],
)
def test_a_label_moves_only_away_from_its_holder(promoted, stage, remove_from, move_to, code):
    before = promoted.labelled()
    assert refusal(promoted.move, stage, remove_from, move_to, 2.0) == code
    assert promoted.labelled() == before


def test_a_label_that_nobody_has_is_attached_freely(promoted):
    promoted.move("mine", None, "old", 2.0)
    promoted.move("mine", None, "old", 3.0)
    assert promoted.labelled()["old"] == ["AWSPREVIOUS", "mine"]
    promoted.move("mine", "old", None, 4.0)
    assert promoted.labelled()["old"] == ["AWSPREVIOUS"]


def test_reading_by_version_and_label_needs_both_to_agree(promoted):
    assert promoted.read(None, None).version_id == "new"
    assert promoted.read(None, "AWSPREVIOUS").version_id == "old"
    assert promoted.read("old", None).version_id == "old"
    assert promoted.read("new", "AWSPENDING").version_id == "new"
    assert refusal(promoted.read, "old", "AWSCURRENT") == "InvalidRequestException"
    assert refusal(promoted.read, "nowhere", None) == "ResourceNotFoundException"
    assert refusal(promoted.read, None, "nobody") == "ResourceNotFoundException"


def test_versions_of_the_last_day_are_never_deleted_for_a_new_one(secret):
    for number in range(100):
        secret.put(version(f"v{number}", created=1.0), ["AWSCURRENT"])
    assert refusal(secret.put, version("more", created=DAY), ["AWSCURRENT"]) == "LimitExceededException"
    secret.put(version("v99", created=DAY), ["AWSCURRENT"])
    secret.put(version("more", created=1.0 + DAY), ["AWSCURRENT"])
    assert len(secret.versions) == 100
    assert "v0" not in secret.versions


def test_a_version_with_a_label_is_never_deleted(secret):
    secret.put(version("v0"), ["AWSCURRENT", "kept"])
    for number in range(1, 102):
        secret.put(version(f"v{number}", created=number * DAY), ["AWSCURRENT"])
    assert "v0" in secret.versions
    assert "v1" not in secret.versions
