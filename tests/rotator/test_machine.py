"""The plan as a specification: DESIGN's table row by row, and what has to be true of every observation."""

import itertools
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from freezegun import freeze_time
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from discovery.model import Authentication, UserStatus
from rotator import machine
from rotator.attributes import Amendment
from rotator.headroom import Headroom
from rotator.machine import ROWS, plan
from rotator.observation import Logins, Observation, Version, due_at, is_live, version_token
from rotator.steps import (
    Amend,
    Apply,
    Ask,
    Count,
    Heal,
    Idle,
    Leave,
    Promote,
    Retire,
    Seed,
    Settle,
    Stage,
    Step,
    Wait,
)
from tests.rotator.records import INTERVAL, NOW, secret, version

OLD = timedelta(hours=1)
SECOND = timedelta(seconds=1)

ACCEPTED = Logins(accepted=2)
REJECTED = Logins(rejected=2)
HALF = Logins(accepted=1, rejected=1)
UNREACHABLE = Logins(unreachable=2)
ONE_UNREACHABLE = Logins(accepted=1, unreachable=1)
REJECTED_AND_UNREACHABLE = Logins(rejected=1, unreachable=1)

CURRENT = version("c")
PREVIOUS = version("p", age=OLD)
SEEDED = version("s", age=OLD, password=None)
LEAKED = version("c", retire=True)
LIVE = version("n", succeeds="c")
FIRST = version("n", succeeds="s")
ORPHAN = version("o", succeeds="long-gone")
FOREIGN = version("f", password=None, ours=False)
ROOM = Headroom(5, INTERVAL)
STRETCHED = Headroom(90, INTERVAL * 1.5)
FULL = Headroom(98, INTERVAL * 20)
REKEY = Amendment(kms_key_id="alias/new")


def seen(held=None, *, c=None, n=None, **changes):
    """An observation of a user in order, where `c` and `n` say how AWSCURRENT and AWSPENDING log in."""
    asked = {"c": c, "s": c, "n": n, "f": n, "o": n}
    fields = {
        "now": NOW,
        "interval": INTERVAL,
        "status": UserStatus.ACTIVE,
        "secret": held,
        "headroom": ROOM,
        "logins": {version_id: logins for version_id, logins in asked.items() if logins is not None},
    }
    return Observation(**(fields | changes))


def rests(**changes):
    """A user whose AWSCURRENT works and is not due."""
    return seen(secret(CURRENT, PREVIOUS), c=ACCEPTED, **changes)


def rotates(n, **changes):
    """A user whose live pending version logs in as `n` says."""
    return seen(secret(CURRENT, PREVIOUS, LIVE), c=ACCEPTED, n=n, **changes)


def stage(held, *, retire=False):
    return Stage(version_token(held), held.current.id, retire=retire)


DUE = secret(version("c", age=INTERVAL), PREVIOUS)
DUE_WITH_ORPHAN = replace(DUE, pending=ORPHAN)
DUE_WITH_FOREIGN = replace(DUE, pending=FOREIGN)
# After a promotion AWSPENDING stays where it was.
JUST_PROMOTED = secret(CURRENT, PREVIOUS, CURRENT)
FELL_BACK = secret(CURRENT, version("p", age=OLD, succeeds="c"), version("p", age=OLD, succeeds="c"))
OLD_LIVE = version("n", age=INTERVAL / 2, succeeds="c")

# What is seen, the row of `machine.ROWS` that matches, the step it gives (a type where its text is for people).
TABLE = {
    "a user that is being deleted": (rests(status=UserStatus.DELETING), "deleting", Leave),
    "1: a user that is modifying": (seen(None, status=UserStatus.MODIFYING), "settle", Settle()),
    "1: a user in a state that AWS invents later": (rests(status=UserStatus.OTHER), "settle", Settle()),
    "1: settling comes before any login": (
        seen(secret(CURRENT, None, LIVE), status=UserStatus.MODIFYING),
        "settle",
        Settle(),
    ),
    "a user that is switched off": (rests(enabled=False), "off", Leave),
    "a user with IAM authentication": (rests(authentication=Authentication.IAM), "no password", Leave),
    "a user that needs no password": (
        rests(authentication=Authentication.NO_PASSWORD),
        "no password",
        Leave,
    ),
    "a user that reaches nothing": (seen(None, endpoints=0), "no endpoint", Leave),
    "no endpoint, no rotation, even when it is due": (
        seen(DUE, c=ACCEPTED, endpoints=0),
        "no endpoint",
        Leave,
    ),
    "a secret that is scheduled for deletion": (
        seen(secret(None, deleted=True)),
        "secret deleted",
        Leave,
    ),
    "2: no secret": (seen(None), "seed", Seed(create=True)),
    "2: a secret without versions": (seen(secret(None)), "seed", Seed(create=False)),
    "AWSCURRENT that is not JSON": (
        seen(secret(version("c", password=None, ours=False, readable=False)), wanted=True),
        "unreadable",
        Leave,
    ),
    "is AWSCURRENT accepted?": (seen(secret(CURRENT, PREVIOUS)), "ask current", Ask(CURRENT)),
    "a seeded version has no password to ask about": (
        seen(secret(SEEDED)),
        "stage",
        stage(secret(SEEDED)),
    ),
    "3: AWSCURRENT rejected, a pending version live": (
        seen(secret(CURRENT, PREVIOUS, LIVE), c=REJECTED),
        "heal",
        Heal((CURRENT, LIVE)),
    ),
    "3: AWSCURRENT rejected, none live": (
        seen(secret(CURRENT, PREVIOUS), c=REJECTED),
        "heal",
        Heal((PREVIOUS, CURRENT)),
    ),
    "3: AWSCURRENT rejected on one endpoint only": (
        seen(secret(CURRENT, PREVIOUS), c=HALF),
        "heal",
        Heal((PREVIOUS, CURRENT)),
    ),
    "3: AWSCURRENT rejected and the previous one retired": (
        seen(secret(LEAKED, PREVIOUS), c=REJECTED),
        "heal",
        Heal((LEAKED,)),
    ),
    "3: AWSCURRENT rejected, one that was retired long ago moved to AWSPREVIOUS by hand": (
        seen(
            secret(replace(CURRENT, retired_before=CURRENT.created), version("l", age=timedelta(days=1))),
            c=REJECTED,
        ),
        "heal",
        Heal((replace(CURRENT, retired_before=CURRENT.created),)),
    ),
    "3: AWSCURRENT rejected, the previous one a seed": (
        seen(secret(CURRENT, SEEDED), c=REJECTED),
        "heal",
        Heal((CURRENT,)),
    ),
    "3: AWSCURRENT rejected, no previous one": (seen(secret(CURRENT), c=REJECTED), "heal", Heal((CURRENT,))),
    "3: an orphan is not set when healing": (
        seen(secret(CURRENT, PREVIOUS, ORPHAN), c=REJECTED),
        "heal",
        Heal((PREVIOUS, CURRENT)),
    ),
    "3: the third heal within an interval": (
        seen(secret(CURRENT), c=REJECTED, heals=2),
        "heal",
        Heal((CURRENT,)),
    ),
    "a fourth heal within an interval": (
        seen(secret(CURRENT, PREVIOUS, LIVE), c=REJECTED, heals=3),
        "contended",
        Leave,
    ),
    "an unreachable endpoint is no rejection": (seen(secret(CURRENT), c=UNREACHABLE), "idle", Idle),
    "is the live pending version accepted?": (rotates(None), "ask pending", Ask(LIVE)),
    "is the first password accepted?": (
        seen(secret(SEEDED, None, FIRST)),
        "ask pending",
        Ask(FIRST),
    ),
    "4: the pending version accepted everywhere": (rotates(ACCEPTED), "promote", Promote(LIVE, CURRENT)),
    "4: the first password accepted everywhere": (
        seen(secret(SEEDED, None, FIRST), n=ACCEPTED),
        "promote",
        Promote(FIRST, SEEDED),
    ),
    "4: promotion does not wait for acknowledgements": (
        rotates(ACCEPTED, acknowledged=False),
        "promote",
        Promote(LIVE, CURRENT),
    ),
    "an unreachable endpoint holds a promotion": (rotates(ONE_UNREACHABLE), "unreachable", Wait),
    "… for less than half an interval": (
        rotates(ONE_UNREACHABLE, now=NOW + INTERVAL / 2 - SECOND),
        "unreachable",
        Wait,
    ),
    "4: … and for half an interval at most": (
        rotates(ONE_UNREACHABLE, now=NOW + INTERVAL / 2),
        "promote",
        Promote(LIVE, CURRENT),
    ),
    "4: no promotion without one acceptance, however late": (
        rotates(UNREACHABLE, now=NOW + INTERVAL),
        "unreachable",
        Wait,
    ),
    "4: no promotion with one rejection, however late": (
        rotates(HALF, now=NOW + INTERVAL),
        "apply",
        Apply((CURRENT, LIVE)),
    ),
    "5: the pending version rejected": (rotates(REJECTED), "apply", Apply((CURRENT, LIVE))),
    "5: rejected on one endpoint": (rotates(HALF), "apply", Apply((CURRENT, LIVE))),
    "5: rejected on one endpoint, the other unreachable": (
        rotates(REJECTED_AND_UNREACHABLE),
        "apply",
        Apply((CURRENT, LIVE)),
    ),
    "5: the first password of Valkeeper's stands alone": (
        seen(secret(SEEDED, None, FIRST), n=REJECTED),
        "apply",
        Apply((FIRST,)),
    ),
    "5: AWSCURRENT was moved back to the seed by hand: AWSPREVIOUS logs clients in meanwhile": (
        seen(secret(SEEDED, PREVIOUS, FIRST), n=REJECTED),
        "apply",
        Apply((PREVIOUS, FIRST)),
    ),
    "5: backoff is over": (rotates(REJECTED, apply_not_before=NOW), "apply", Apply((CURRENT, LIVE))),
    "5: backoff is not over": (
        rotates(REJECTED, apply_not_before=NOW + SECOND),
        "backoff",
        Wait("the new password was applied and is still rejected", NOW + SECOND),
    ),
    "5: a live pending version is applied again, never replaced": (
        rotates(REJECTED, wanted=True, force=True),
        "apply",
        Apply((CURRENT, LIVE)),
    ),
    "applying waits for acknowledgements": (rotates(REJECTED, acknowledged=False), "unacknowledged", Wait),
    "no endpoint could be asked: applying would prove nothing": (rotates(UNREACHABLE), "unreachable", Wait),
    "6: retire asked, two passwords set": (
        seen(secret(LEAKED, PREVIOUS, LEAKED), c=ACCEPTED, password_count=2),
        "retire",
        Retire((LEAKED,)),
    ),
    "6: retired already": (
        seen(secret(LEAKED, PREVIOUS, LEAKED), c=ACCEPTED, password_count=1),
        "idle",
        Idle(NOW + INTERVAL),
    ),
    "6: there is nothing to retire to where AWSCURRENT has no password": (
        seen(secret(version("s", password=None, retire=True)), password_count=2),
        "stage",
        Stage,
    ),
    "6: retiring waits for acknowledgements": (
        seen(secret(LEAKED, PREVIOUS), c=ACCEPTED, password_count=2, acknowledged=False),
        "unacknowledged",
        Wait,
    ),
    "6: retiring comes before the next password is staged": (
        seen(secret(LEAKED, PREVIOUS), c=ACCEPTED, password_count=2, wanted=True),
        "retire",
        Retire((LEAKED,)),
    ),
    "6: a live pending version comes before retiring": (
        seen(secret(LEAKED, PREVIOUS, version("n", succeeds="c")), c=ACCEPTED, n=REJECTED, password_count=2),
        "apply",
        Apply((LEAKED, LIVE)),
    ),
    "7: due": (seen(DUE, c=ACCEPTED), "stage", stage(DUE)),
    "due, and nobody knows how many versions there are": (
        seen(DUE, c=ACCEPTED, headroom=None),
        "count",
        Count(),
    ),
    "asked for, and nobody knows": (rests(wanted=True, headroom=None), "count", Count()),
    "due, and a day holds no version for each": (
        seen(DUE, c=ACCEPTED, headroom=STRETCHED),
        "stretched",
        Idle(NOW + INTERVAL / 2),
    ),
    "7: due by the stretched interval, too": (
        seen(DUE, c=ACCEPTED, headroom=STRETCHED, now=NOW + INTERVAL / 2),
        "stage",
        stage(DUE),
    ),
    "7: asked for, and a day holds no version for each": (
        rests(wanted=True, headroom=STRETCHED),
        "stage",
        stage(secret(CURRENT, PREVIOUS)),
    ),
    "asked for, and the room that is left is for leaked passwords": (
        rests(wanted=True, headroom=FULL),
        "full",
        Leave,
    ),
    "7: a leaked password takes the last of the room": (
        rests(wanted=True, wanted_retire=True, headroom=FULL),
        "stage",
        stage(secret(CURRENT, PREVIOUS), retire=True),
    ),
    "7: the first password of Valkeeper's is never put off": (
        seen(secret(SEEDED), headroom=STRETCHED),
        "stage",
        stage(secret(SEEDED)),
    ),
    "7: a second before it is due": (
        seen(DUE, c=ACCEPTED, now=NOW - SECOND),
        "idle",
        Idle(NOW),
    ),
    "7: asked for before it is due": (
        rests(wanted=True),
        "stage",
        stage(secret(CURRENT, PREVIOUS)),
    ),
    "7: asked for, the old password to be dropped": (
        rests(wanted=True, wanted_retire=True),
        "stage",
        stage(secret(CURRENT, PREVIOUS), retire=True),
    ),
    "7: an orphan is staged over": (seen(DUE_WITH_ORPHAN, c=ACCEPTED), "stage", stage(DUE_WITH_ORPHAN)),
    "7: AWSPENDING on AWSCURRENT is no pending version": (
        seen(JUST_PROMOTED, c=ACCEPTED, wanted=True),
        "stage",
        stage(JUST_PROMOTED),
    ),
    "7: AWSPENDING on AWSPREVIOUS is not live": (
        seen(FELL_BACK, c=ACCEPTED, wanted=True),
        "stage",
        stage(FELL_BACK),
    ),
    "7: AWSCURRENT was put there by an operator": (
        seen(secret(replace(CURRENT, ours=False)), c=ACCEPTED, wanted=True),
        "stage",
        stage(secret(replace(CURRENT, ours=False))),
    ),
    "due, and a foreign pending version": (seen(DUE_WITH_FOREIGN, c=ACCEPTED), "foreign", Leave),
    "asked for, and a foreign pending version": (
        seen(secret(CURRENT, None, FOREIGN), c=ACCEPTED, wanted=True),
        "foreign",
        Leave,
    ),
    "7: a foreign pending version is taken over by force": (
        seen(DUE_WITH_FOREIGN, c=ACCEPTED, force=True),
        "stage",
        stage(DUE_WITH_FOREIGN),
    ),
    "8: a foreign pending version harms nobody before the user is due": (
        seen(secret(CURRENT, None, FOREIGN), c=ACCEPTED),
        "idle",
        Idle(NOW + INTERVAL),
    ),
    "attributes that are not as configured": (rests(amendment=REKEY), "amend", Amend(REKEY)),
    "… come before the next version, so that it is encrypted with the right key": (
        seen(DUE, c=ACCEPTED, wanted=True, amendment=REKEY),
        "amend",
        Amend(REKEY),
    ),
    "… and before what waits for a person": (
        seen(DUE_WITH_FOREIGN, c=ACCEPTED, amendment=REKEY),
        "amend",
        Amend(REKEY),
    ),
    "… but never while a version is pending": (
        rotates(UNREACHABLE, amendment=REKEY),
        "unreachable",
        Wait,
    ),
    "… nor before AWSCURRENT works": (
        seen(secret(CURRENT), c=REJECTED, amendment=REKEY),
        "heal",
        Heal((CURRENT,)),
    ),
    "… nor before the old password is dropped": (
        seen(secret(LEAKED, PREVIOUS), c=ACCEPTED, password_count=2, amendment=REKEY),
        "retire",
        Retire((LEAKED,)),
    ),
    "8: otherwise": (rests(), "idle", Idle(NOW + INTERVAL)),
}


@pytest.mark.parametrize(("observation", "row", "step"), TABLE.values(), ids=TABLE.keys())
def test_table(observation, row, step):
    found, taken = plan(observation)
    assert found.name == row
    assert isinstance(taken, step) if isinstance(step, type) else taken == step


def test_every_row_is_in_the_table():
    assert {row for _, row, _ in TABLE.values()} == {row.name for row in ROWS}


def test_every_row_says_in_words_what_it_does():
    assert [row.name for row in ROWS if not row.asks or not row.does] == []


def test_row_names_are_unique():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("observation", [o for o, _, s in TABLE.values() if s is Leave])
def test_what_is_left_alone_says_why_and_what_to_do(observation):
    _, step = plan(observation)
    assert len(step.reason) > 20


# What holds of every observation.


def promises(observation):
    """Raises where the plan breaks a promise for this observation; returns the row it took."""
    row, step = plan(observation)
    assert row in ROWS
    assert isinstance(step, Step)
    assert plan(replace(observation, logins=dict(observation.logins))) == (row, step)
    if isinstance(step, Wait | Leave):
        assert step.reason
    if isinstance(step, Settle | Leave):
        return row.name
    assert observation.status is UserStatus.ACTIVE
    assert observation.enabled
    assert observation.authentication is Authentication.PASSWORD
    assert observation.endpoints > 0
    if not isinstance(step, Seed):
        _promises_of_a_secret(observation, step)
    return row.name


def _promises_of_a_secret(observation, step):
    held = observation.secret
    current, pending, previous = held.current, held.pending, held.previous
    live = _live(held)
    assert is_live(held) is live
    works = observation.logins.get(current.id)
    proof = observation.logins.get(pending.id) if live else None
    match step:
        case Ask(version=asked):
            assert asked.password is not None
            assert asked.id not in observation.logins
        case Count():
            assert not live
            assert observation.headroom is None
        case Stage(token=token, succeeds=succeeds, retire=retire):
            assert not live
            assert observation.headroom.versions < 98 or retire or not observation.wanted
            assert succeeds == current.id
            assert token == version_token(held)
            foreign = pending is not None and not pending.ours and pending not in {current, previous}
            assert observation.force or not foreign
            assert observation.wanted or current.password is None or _age(observation) >= INTERVAL
        case Promote(version=promoted, current=left):
            assert live
            assert (promoted, left) == (pending, current)
            assert proof.accepted
            assert not proof.rejected
            assert not proof.unreachable or observation.now - pending.created >= INTERVAL / 2
            assert current.password is None or not works.rejected
        case Apply() | Heal() | Retire():
            _promises_of_setting(observation, step)
        case Amend(amendment=amendment):
            assert amendment == observation.amendment
            assert not live
            assert works is None or not works.rejected
            assert current.password is None or works is not None
        case Idle():
            assert observation.amendment is None
            assert not live
            assert not observation.wanted
            assert works is None or not works.rejected


def _promises_of_setting(observation, step):
    """What goes to ModifyUser: the whole list of passwords."""
    held = observation.secret
    current, pending, previous = held.current, held.pending, held.previous
    live = is_live(held)
    assert 1 <= len(step.versions) <= 2
    assert all(one.password is not None for one in step.versions)
    match step:
        case Apply(versions=versions):
            assert live
            assert versions[-1] == pending
            assert current in versions or current.password is None
            assert observation.logins[pending.id].rejected
            assert observation.acknowledged
            assert observation.apply_not_before is None or observation.now >= observation.apply_not_before
        case Heal(versions=versions):
            assert current in versions
            assert observation.logins[current.id].rejected
            assert observation.heals < machine.HEALS_PER_INTERVAL
            assert not live or pending in versions
            if (
                current.retire
                and previous is not None
                and previous.id not in {current.id, pending and pending.id}
            ):
                assert previous not in versions
        case Retire(versions=versions):
            assert versions == (current,)
            assert current.retire
            assert observation.password_count > 1
            assert observation.acknowledged
            assert not live


def _live(held):
    """The design's definition, written down a second time."""
    pending = held.pending
    if pending is None or not pending.ours or pending.password is None:
        return False
    taken = {one.id for one in (held.current, held.previous) if one is not None}
    return pending.id not in taken and pending.succeeds == held.current.id


def _age(observation):
    return observation.now - observation.secret.current.created


ANSWERS = [None, ACCEPTED, REJECTED, UNREACHABLE, HALF, ONE_UNREACHABLE]


def small_world():
    """Every mix of a few values for each thing that is observed."""
    for status, enabled, authentication, endpoints in itertools.product(
        UserStatus, [True, False], Authentication, [0, 2]
    ):
        for held in (None, secret(None), secret(None, deleted=True), DUE):
            yield seen(
                held,
                status=status,
                enabled=enabled,
                authentication=authentication,
                endpoints=endpoints,
            )
    currents = [CURRENT, LEAKED, version("c", age=INTERVAL), SEEDED]
    pendings = [None, LIVE, OLD_LIVE, FIRST, ORPHAN, FOREIGN, PREVIOUS]
    secrets = [secret(*labels) for labels in itertools.product(currents, [None, PREVIOUS], pendings)]
    flags = [*itertools.product([True, False], repeat=3)]
    paces = [(0, None), (3, None), (0, NOW + SECOND)]
    for held, amendment in itertools.product(secrets, [None, REKEY]):
        for c, n in itertools.product(
            ANSWERS if held.current.password else [None], ANSWERS if is_live(held) else [None]
        ):
            yield seen(held, c=c, n=n, amendment=amendment, password_count=2)
    rooms = [None, ROOM, STRETCHED, FULL]
    for held, room, (wanted, retire, force) in itertools.product(secrets, rooms, flags):
        works = ACCEPTED if held.current.password else None
        yield seen(held, c=works, headroom=room, wanted=wanted, wanted_retire=retire, force=force)
    for held in [*secrets, secret(version("c", ours=False, readable=False, password=None))]:
        answers = itertools.product(
            ANSWERS if held.current.password else [None], ANSWERS if is_live(held) else [None]
        )
        for (c, n), (wanted, force, acknowledged), (heals, not_before), count in itertools.product(
            answers, flags, paces, [1, 2]
        ):
            yield seen(
                held,
                c=c,
                n=n,
                wanted=wanted,
                force=force,
                acknowledged=acknowledged,
                heals=heals,
                apply_not_before=not_before,
                password_count=count,
            )


def test_a_small_world_whole():
    """Every observation of it gets a step that keeps every promise, and every row is reached."""
    assert {promises(observation) for observation in small_world()} == {row.name for row in ROWS}


ids = st.sampled_from(["a", "b", "c", "d"])
times = st.integers(-3600, 60).map(lambda seconds: NOW + timedelta(seconds=seconds))
passwords = st.none() | st.just(SecretStr("x" * 64))
counts = st.integers(0, 2)


@st.composite
def some_secret(draw):
    """Labels on up to four versions, any of them on the same; with what may have been left over."""
    versions = {
        version_id: Version(
            version_id,
            draw(times),
            password=draw(passwords),
            succeeds=draw(st.none() | ids),
            retire=draw(st.booleans()),
            ours=draw(st.booleans()),
            readable=draw(st.sampled_from([True, True, True, False])),
        )
        for version_id in ("a", "b", "c", "d")
    }
    labels = [draw(st.none() | ids) for _ in range(3)]
    return secret(*(versions[label] if label else None for label in labels), deleted=draw(st.booleans()))


@st.composite
def logins_to(draw, held):
    """Answers for some of the passwords; nobody logs in without one."""
    labels = (held.current, held.previous, held.pending) if held is not None else ()
    return {
        one.id: draw(st.builds(Logins, accepted=counts, rejected=counts, unreachable=counts))
        for one in labels
        if one is not None and one.password is not None and draw(st.booleans())
    }


@st.composite
def observations(draw):
    held = draw(st.none() | some_secret())
    return replace(draw(circumstances), secret=held, logins=draw(logins_to(held)))


circumstances = st.builds(
    Observation,
    now=times,
    interval=st.just(INTERVAL),
    status=st.sampled_from([UserStatus.ACTIVE] * 5 + list(UserStatus)),
    secret=st.none(),
    enabled=st.sampled_from([True, True, True, False]),
    authentication=st.sampled_from([Authentication.PASSWORD] * 5 + list(Authentication)),
    password_count=counts,
    endpoints=counts,
    wanted=st.booleans(),
    wanted_retire=st.booleans(),
    force=st.booleans(),
    acknowledged=st.booleans(),
    apply_not_before=st.none() | times,
    heals=st.integers(0, 5),
    amendment=st.none() | st.just(REKEY),
    headroom=st.sampled_from([None, ROOM, STRETCHED, FULL]),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(observations())
def test_any_observation(observation):
    """The plan is total, deterministic, and keeps its promises whatever the labels look like."""
    promises(observation)


# When a rotation is due.


def test_due_an_interval_after_awscurrent_was_made():
    assert due_at(secret(version("c", age=OLD)), INTERVAL) == NOW - OLD + INTERVAL


@pytest.mark.parametrize("held", [secret(None), secret(SEEDED)], ids=["no version", "a seed"])
def test_due_at_once_where_there_is_no_password_yet(held):
    assert due_at(held, INTERVAL) is None


# The version id that only one writer can win.

labels = st.tuples(*[st.none() | st.uuids().map(str)] * 3)


def labelled(labels, **changes):
    return secret(*(version(one, **changes) if one else None for one in labels))


@given(labels)
def test_token_is_the_same_for_all_who_saw_the_same_labels(found):
    mine = labelled(found)
    theirs = labelled(found, age=OLD, password="other", retire=True, succeeds="x", ours=False)
    assert version_token(mine) == version_token(theirs)


@given(labels, labels)
def test_token_differs_where_any_label_differs(one, other):
    assert (version_token(labelled(one)) == version_token(labelled(other))) == (one == other)


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("moved", ["x", None])
def test_token_differs_for_each_label_alone(which, moved):
    before = ["c", "p", "n"]
    after = [*before[:which], moved, *before[which + 1 :]]
    assert version_token(labelled(before)) != version_token(labelled(after))


def test_token_differs_where_versions_swap_labels():
    tokens = {version_token(labelled(order)) for order in itertools.permutations("cpn")}
    assert len(tokens) == 6


def test_token_differs_between_secrets():
    assert version_token(secret("c", arn="arn:one")) != version_token(secret("c", arn="arn:two"))


@given(labels)
def test_token_is_one_that_secrets_manager_takes(found):
    """ClientRequestToken: 32 to 64 characters; a uuid5, as the design says."""
    token = version_token(labelled(found))
    assert 32 <= len(token) <= 64
    assert uuid.UUID(token).version == 5


def test_no_clock():
    """The same observation gives the same step at any time of day, its token included."""
    told = []
    for moment in ("2001-01-01", "2025-01-01 11:59", "2040-06-06"):
        with freeze_time(moment):
            told.append([plan(observation) for observation, _, _ in TABLE.values()])
    assert told[0] == told[1] == told[2]


# What is observed.


@pytest.mark.parametrize(
    ("logins", "everywhere"),
    [
        (Logins(), False),
        (Logins(accepted=1), True),
        (Logins(accepted=2, unreachable=1), False),
        (Logins(accepted=2, rejected=1), False),
    ],
)
def test_accepted_everywhere(logins, everywhere):
    """No endpoint at all is no proof, and neither is all but one."""
    assert logins.everywhere is everywhere


def test_an_observation_shows_no_password():
    held = secret(CURRENT, PREVIOUS, LIVE)
    assert "secret-c" in held.current.password.get_secret_value()
    assert "secret-" not in repr(rotates(ACCEPTED)) + repr(plan(rotates(REJECTED)))
