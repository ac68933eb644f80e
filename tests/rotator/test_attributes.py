"""What surrounds a secret's versions, and what of it is to be changed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.attributes import Amendment, Attributes, amendment, attributes_of, is_same_key
from rotator.pacing import Memory, Pacing
from tests.rotator.records import INTERVAL, NOW, user

ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
KEY = f"arn:aws:kms:us-east-1:123456789012:key/{ID}"
ALIAS = "arn:aws:kms:us-east-1:123456789012:alias/valkeeper"

OURS = attributes_of(user("app"), None)
REKEY = Amendment(kms_key_id="alias/new")


@pytest.mark.parametrize(
    ("configured", "found"),
    [
        (ID, ID),
        (ID, KEY),
        (KEY, ID),
        (KEY, KEY),
        ("alias/valkeeper", ALIAS),
        (ALIAS, "alias/valkeeper"),
        (ALIAS, ALIAS),
        ("alias/aws/secretsmanager", None),
        ("arn:aws:kms:us-east-1:123456789012:alias/aws/secretsmanager", None),
    ],
)
def test_two_names_of_one_key(configured, found):
    assert is_same_key(configured, found)


@pytest.mark.parametrize(
    ("configured", "found"),
    [
        (ID, None),
        ("alias/valkeeper", None),
        (ID, f"0{ID[1:]}"),
        (KEY, KEY.replace("123456789012", "210987654321")),
        (KEY, KEY.replace("us-east-1", "eu-west-1")),
        ("alias/valkeeper", ALIAS + "2"),
        ("alias/valkeeper", KEY),  # it may be that key, but the names do not say so
        (KEY, ALIAS),
    ],
)
def test_names_not_known_to_be_one_keys(configured, found):
    assert not is_same_key(configured, found)


def test_a_secret_as_it_should_be_needs_nothing():
    assert amendment(OURS, OURS) is None
    assert amendment(replace(OURS, kms_key_id=ID), replace(OURS, kms_key_id=KEY)) is None


def test_a_secret_made_by_hand_lacks_description_and_tags():
    assert amendment(OURS, Attributes()) == Amendment(
        description=OURS.description, tags=tuple(OURS.tags.items())
    )


def test_only_what_differs_is_set():
    assert amendment(replace(OURS, kms_key_id=ID), OURS) == Amendment(kms_key_id=ID)
    wrong = replace(OURS, tags=dict(OURS.tags) | {"valkeeper:user-arn": "arn:of-another"})
    assert amendment(OURS, wrong) == Amendment(tags=(("valkeeper:user-arn", user("app").arn),))


def test_what_others_set_is_left_to_them():
    """A key where none is configured, further tags, and a description in their words."""
    found = Attributes(KEY, "The password of the shop", dict(OURS.tags) | {"team": "shop"})
    assert amendment(OURS, found) is None


def test_the_tags_say_whose_it_is():
    assert OURS.tags == {"valkeeper:managed": "true", "valkeeper:user-arn": user("app").arn}


# How often an instance tries.


def test_what_was_set_and_still_looks_different_is_taken_as_right():
    """An alias that AWS reports as a key is set once; so nothing is set for ever."""
    pacing = Pacing(INTERVAL)
    pacing.remember_amendment(user("app").key, REKEY, NOW, failed=False)
    memory = pacing.recall(user("app").key, NOW)
    assert memory.to_amend(REKEY, NOW + timedelta(days=365)) is None
    assert memory.to_amend(Amendment(description="x"), NOW) == Amendment(description="x")


def test_what_failed_is_tried_again_after_an_hour():
    pacing, hour = Pacing(INTERVAL), timedelta(hours=1)
    pacing.remember_amendment(user("app").key, REKEY, NOW, failed=True)
    memory = pacing.recall(user("app").key, NOW)
    assert memory.to_amend(REKEY, NOW + hour - timedelta(seconds=1)) is None
    assert memory.to_amend(REKEY, NOW + hour) == REKEY


def test_nothing_is_amended_unasked():
    assert Memory().to_amend(None, NOW) is None
    assert Memory().to_amend(REKEY, NOW) == REKEY
