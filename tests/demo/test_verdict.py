"""When the demo has passed, and what it says of itself."""

from dataclasses import replace

import pytest

from deploy.demo.state import Counts
from deploy.demo.verdict import AccountUser, judge
from tests.demo.records import (
    AUDIT,
    DATABASES,
    LEGACY,
    OPS,
    REPORTING,
    USERS,
    WEB,
    rotation,
    state,
    user,
)

UNTAGGED = AccountUser("elasticache", "legacy", "password", "active", "on ~* &* +@all", 1, ("hunter2",), ())
IAM = replace(UNTAGGED, id="reporting", authentication="iam", password_count=0, passwords=())
BEFORE = {
    LEGACY: UNTAGGED,
    REPORTING: IAM,
    OPS: replace(UNTAGGED, service="memorydb", id="ops"),
    AUDIT: replace(IAM, service="memorydb", id="session-audit"),
}
BY_TARGET = {
    ("orders", "app"): 80,
    ("orders-reader", "app"): 40,
    ("orders", "reporting"): 20,
    ("orders-reader", "reporting"): 10,
    ("sessions", "web"): 20,
    ("sessions", "session-audit"): 10,
}
COUNTS = Counts(120, 180, 0, "", BY_TARGET)
ADOPTED = (rotation("adopted", 6), rotation("adopted", 6, user=WEB))
GOOD = state(*ADOPTED, rotation("rotated", 21), rotation("rotated", 22, user=WEB))
ONLY_APP = state(*ADOPTED, rotation("rotated", 21))


def judged(known=GOOD, counts=COUNTS, before=BEFORE, after=None, lasted=45.0, error=""):
    checks = judge(known, counts, before, before if after is None else after, lasted=lasted, error=error)
    return {check.text: check for check in checks}


def results(**what):
    return {text: check.passed for text, check in judged(**what).items()}


def without(target):
    """The counts of a client that never got in there."""
    return replace(COUNTS, by_target={key: number for key, number in BY_TARGET.items() if key != target})


def changed(key, **fields):
    return BEFORE | {key: replace(BEFORE[key], **fields)}


def test_all_is_well():
    assert results() == dict.fromkeys(
        ("ElastiCache", "MemoryDB", "client commands", "untagged users", "IAM users"), True
    )


def test_each_service_is_told_in_words():
    known = GOOD.take_event(rotation("rotated", 36))
    assert judged(known)["ElastiCache"].detail == (
        "1 managed user, 2 rotations (app twice); 1 IAM user, 30 commands with a token (reporting 30)"
    )
    assert judged(known)["MemoryDB"].detail == (
        "1 managed user, 1 rotation (web once); 1 IAM user, 10 commands with a token (session-audit 10)"
    )


@pytest.mark.parametrize(
    ("what", "checks"),
    [
        ({"known": ONLY_APP}, {"MemoryDB"}),
        ({"known": state()}, {"ElastiCache", "MemoryDB"}),
        ({"known": GOOD.take_answers(DATABASES, USERS[:3], 20.0)}, {"MemoryDB"}),
        ({"counts": replace(COUNTS, failures=1, last_failure="WRONGPASS")}, {"client commands"}),
        ({"counts": without(("orders-reader", "app"))}, {"client commands"}),
        ({"counts": without(("sessions", "session-audit"))}, {"client commands", "MemoryDB"}),
        ({"counts": Counts()}, {"client commands", "ElastiCache", "MemoryDB"}),
        ({"after": {}}, {"untagged users", "IAM users"}),
        ({"after": changed(LEGACY, passwords=("other",))}, {"untagged users"}),
        ({"after": changed(OPS, passwords=("other",))}, {"untagged users"}),
        ({"after": changed(OPS, password_count=2)}, {"untagged users"}),
        ({"after": changed(OPS, access="off")}, {"untagged users"}),
        ({"after": changed(LEGACY, secrets=("valkeeper/user/legacy",))}, {"untagged users"}),
        ({"after": changed(AUDIT, secrets=("valkeeper/user/session-audit",))}, {"IAM users"}),
        ({"after": changed(REPORTING, access="off")}, {"IAM users"}),
        ({"error": "valkeeper serve ended by itself"}, {"service"}),
    ],
)
def test_one_thing_that_is_wrong_fails_its_checks_alone(what, checks):
    assert {text for text, passed in results(**what).items() if passed is not True} == checks


def test_a_secret_of_an_iam_user_counts_even_if_it_was_there_before():
    assert results(before=changed(AUDIT, secrets=("valkeeper/user/session-audit",)))["IAM users"] is False


def test_an_iam_user_that_aws_calls_none_is_none():
    told = results(before=changed(AUDIT, authentication="password", passwords=("x",)))
    assert (told["ElastiCache"], told["MemoryDB"], told["IAM users"]) == (True, False, False)


def test_an_untagged_user_without_a_password_proves_nothing():
    checks = judged(before=changed(OPS, authentication="no-password", password_count=0, passwords=()))
    assert checks["untagged users"].passed is False
    assert checks["untagged users"].detail == "there was none of MemoryDB"


def test_too_short_a_demo_can_tell_nothing_of_rotations():
    told = results(known=ONLY_APP, lasted=12.0)
    assert (told["ElastiCache"], told["MemoryDB"]) == (True, None)


def test_too_short_a_demo_may_have_had_no_client_but_none_that_failed():
    told = results(counts=Counts(), lasted=1.0)
    assert (told["ElastiCache"], told["client commands"]) == (None, None)
    assert results(counts=Counts(commands=1, failures=1), lasted=1.0)["client commands"] is False


def test_whoever_is_tagged_by_hand_may_be_touched_and_need_not_be_rotated():
    known = GOOD.take_answers(DATABASES, [*USERS, user("legacy")], 20.0)
    other = LEGACY.replace("legacy", "other")
    before = BEFORE | {other: replace(UNTAGGED, id="other")}
    after = before | {LEGACY: replace(UNTAGGED, passwords=("new", "old"), password_count=2)}
    checks = judged(known, before=before, after=after)
    assert (checks["ElastiCache"].passed, checks["untagged users"].passed) == (True, True)
    assert checks["untagged users"].detail.startswith("ElastiCache's other; MemoryDB's ops never touched")


def test_no_password_is_shown():
    shown = repr(judged(after=changed(LEGACY, passwords=("x",))))
    assert "hunter2" not in shown + repr(UNTAGGED)
