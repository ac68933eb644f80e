"""What a secret's labels say of passwords that were retired: never forgotten, and never said of the one in use."""

from datetime import timedelta

import pytest

from rotator.observation import retired_before
from rotator.standing import credential_of
from tests.rotator.records import NOW, secret, standing, version

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def made(age, **changes):
    return version(f"made {age} ago", age=age, **changes)


RETIRING = made(HOUR, retire=True)


@pytest.mark.parametrize(
    ("current", "previous", "moment"),
    [
        (made(HOUR), made(DAY), None),
        (RETIRING, made(DAY), NOW - HOUR),
        (made(timedelta()), RETIRING, NOW - HOUR),
        (made(timedelta(), retired_before=NOW - DAY), made(HOUR), NOW - DAY),
        (made(timedelta(), retire=True, retired_before=NOW - DAY), made(HOUR), NOW),
        (made(timedelta(), ours=False), made(HOUR, retired_before=NOW - DAY), NOW - DAY),
        (made(DAY), RETIRING, None),
        (made(DAY, retired_before=NOW - 2 * DAY), RETIRING, NOW - 2 * DAY),
    ],
    ids=[
        "no retirement",
        "by this version",
        "by the one before",
        "long ago",
        "twice",
        "a version put by hand since",
        "the retired version moved back by hand",
        "another one long before that",
    ],
)
def test_which_passwords_are_retired(current, previous, moment):
    assert retired_before(secret(current, previous)) == moment


def test_a_secret_without_a_current_version_says_nothing():
    assert retired_before(secret(None)) is None


def test_proxies_are_told_how_old_the_passwords_are_and_which_are_retired():
    told = credential_of(standing(current=made(timedelta()), previous=RETIRING))
    assert (told.made, told.previous_made, told.retired_before) == (NOW, NOW - HOUR, NOW - HOUR)
    assert told.previous is not None


@pytest.mark.parametrize(
    ("current", "previous"),
    [(RETIRING, made(DAY)), (made(timedelta(), retired_before=NOW - HOUR), made(DAY))],
    ids=["at once", "moved to AWSPREVIOUS by hand"],
)
def test_proxies_are_never_given_a_retired_password(current, previous):
    told = credential_of(standing(current=current, previous=previous))
    assert (told.previous, told.previous_made) == (None, None)
