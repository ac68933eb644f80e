"""Rotations for real: the engine against the sandbox's AWS and its Redis servers over TLS."""

import asyncio
import json
import os
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr

from discovery.errors import AccessDeniedError, RetryableError, ThrottledError
from rotator.engine import Result, Wish, new_password
from rotator.observation import retired_before, version_token
from tests.rotator.instances import Home, Instance, later
from tests.rotator.records import INTERVAL, user

ROTATION = ["stage", "apply", "promote"]
CHANGES = ("PutSecretValue", "ModifyUser", "UpdateSecretVersionStage")
SERVICES = {"PutSecretValue": "secretsmanager", "ModifyUser": "elasticache"}


def steps(outcome):
    """What was done. Whether the user had settled by the next look is a matter of milliseconds."""
    return [step for step in outcome.steps if step != "settle"]


def service_of(operation):
    return SERVICES.get(operation, "secretsmanager")


@pytest.fixture
def due(adopted):
    """An adopted user whose password is older than the interval."""
    adopted.age(later())
    return adopted


@pytest.fixture
def changes(sandbox):
    """The changes that were asked of AWS since the last call of this."""

    def asked():
        found = [
            entry["operation"]
            for entry in sandbox.requests()
            if entry["operation"] in {*CHANGES, "CreateSecret"}
        ]
        sandbox.reset_requests()
        return found

    sandbox.reset_requests()
    return asked


# The ways of a rotation.


async def test_adoption_from_nothing(home, subject):
    """A tagged user gets a secret, a first password that works everywhere, and keeps no other."""
    own = home.sandbox.passwords(subject.id)
    outcome = await Instance(home).run(subject)

    assert outcome.result is Result.ADOPTED
    assert steps(outcome) == ["seed", *ROTATION]
    assert subject.passwords == [subject.password()]
    assert subject.password() not in own
    assert subject.logs_in(subject.password()) == [True, True]
    assert subject.value("AWSPREVIOUS").keys() == {"username", "user_arn", "valkeeper"}
    assert outcome.due == outcome.secret.current.created + INTERVAL


async def test_a_fresh_user_is_left_in_peace(home, adopted, changes):
    outcome = await Instance(home).run(adopted)
    assert (outcome.result, outcome.steps) == (Result.IDLE, ())
    assert changes() == []


async def test_a_due_rotation(home, due, changes):
    """One due rotation makes one new version and one set of passwords; the old one goes on working."""
    before, password = due.labels["AWSCURRENT"], due.password()
    versions = due.versions
    outcome = await Instance(home).run(due)

    assert outcome.result is Result.ROTATED
    assert steps(outcome) == ROTATION
    assert changes() == [*CHANGES]
    assert due.versions - versions == {outcome.secret.current.id}
    assert due.labels["AWSPREVIOUS"] == before
    assert due.value()["valkeeper"] == {"succeeds": before, "retire": False}
    assert due.passwords == [password, due.password()]
    assert due.logs_in(password) == due.logs_in(due.password()) == [True, True]


async def test_the_third_password_is_dropped(home, adopted):
    """A user has two passwords at most: current and previous, or current and pending."""
    told = [adopted.password()]
    for _ in range(2):
        await Instance(home).run(adopted, Wish())
        told.append(adopted.password())
    assert adopted.passwords == told[1:]
    assert adopted.logs_in(told[0]) == [False, False]


async def test_on_demand_before_it_is_due(home, adopted):
    before = adopted.labels["AWSCURRENT"]
    outcome = await Instance(home).run(adopted, Wish())
    assert outcome.result is Result.ROTATED
    assert outcome.wish == Wish(instead_of=before)
    assert adopted.labels["AWSPREVIOUS"] == before


async def test_a_wish_that_came_true_is_not_granted_twice(home, adopted, changes):
    """Measured against what stood when it was first looked at, whoever rotated since."""
    before = adopted.labels["AWSCURRENT"]
    await Instance(home).run(adopted, Wish())
    changes()
    outcome = await Instance(home).run(adopted, Wish(instead_of=before))
    assert outcome.result is Result.IDLE
    assert changes() == []


async def test_retire_drops_the_old_password_at_once(home, adopted):
    leaked = adopted.password()
    outcome = await Instance(home).run(adopted, Wish(retire=True))

    assert outcome.result is Result.ROTATED
    assert steps(outcome) == [*ROTATION, "retire"]
    assert adopted.passwords == [adopted.password()]
    assert adopted.logs_in(leaked) == [False, False]
    assert adopted.value()["valkeeper"]["retire"] is True


async def test_a_retirement_is_remembered_however_many_rotations_follow(home, adopted):
    """A proxy that was without its rotator for long still hears whose sessions have to end."""
    await Instance(home).run(adopted, Wish(retire=True))
    outcome = await Instance(home).run(adopted)
    retiring = outcome.secret.current.created
    for _ in range(3):
        outcome = await Instance(home).run(adopted, Wish())
        assert retired_before(outcome.secret) == retiring


async def test_retiring_is_completed_by_any_instance(home, adopted):
    """`retire` is written in the staged version, so a crash loses nothing."""
    with home.sandbox.fault("elasticache", "ModifyUser", "throttle"), pytest.raises(ThrottledError):
        await Instance(home).run(adopted, Wish(retire=True))
    assert adopted.value("AWSPENDING")["valkeeper"]["retire"] is True
    outcome = await Instance(home).run(adopted)
    assert outcome.result is Result.ROTATED
    assert adopted.passwords == [adopted.password()]


async def test_retiring_waits_for_the_proxies(home, adopted):
    """The old password is dropped only once every proxy logs in with the new one."""
    leaked, instance = adopted.password(), Instance(home)

    def hold_after_promotion():
        instance.acknowledged = "promote" not in instance.steps

    instance.watch = hold_after_promotion
    outcome = await instance.run(adopted, Wish(retire=True))
    assert outcome.result is Result.WAITING
    assert adopted.passwords == [leaked, adopted.password()]
    assert instance.asked_to_acknowledge[-1] == adopted.labels["AWSCURRENT"]

    assert (await Instance(home).run(adopted)).result is Result.RETIRED
    assert adopted.passwords == [adopted.password()]


async def test_the_next_password_waits_for_the_proxies(home, due):
    """Nothing is set while some proxy may still log in with the password before AWSCURRENT."""
    instance = Instance(home)
    instance.acknowledged = False
    outcome = await instance.run(due)
    assert (outcome.result, outcome.steps) == (Result.WAITING, ("stage",))
    assert due.passwords == [due.password()]


# AWSCURRENT always logs in (I1).


async def test_awscurrent_logs_in_on_every_endpoint_at_every_step(home, subject):
    """I1, from adoption over rotations to retirement, asked of the servers after everything that happens."""
    instance, checks = Instance(home), []

    def check():
        if instance.seen and (password := subject.password()) is not None:
            assert subject.logs_in(password) == [True, True]
            checks.append(instance.steps[-1] if instance.steps else None)

    instance.watch = lambda: check() if "seed" in instance.steps else None
    await instance.run(subject)
    subject.age(later())
    await instance.run(subject, Wish())
    await instance.run(subject, Wish(retire=True))
    assert {"promote", "stage", "apply", "retire"} <= set(checks)


# Passwords that somebody else sets.


async def test_heal_after_a_password_set_by_hand(home, adopted):
    """AWSCURRENT works again, and the password set by hand does not."""
    adopted.set_passwords("set-by-hand-0123456789")
    outcome = await Instance(home).run(adopted)
    assert (outcome.result, steps(outcome)) == (Result.HEALED, ["heal"])
    assert adopted.logs_in(adopted.password()) == [True, True]
    assert adopted.logs_in("set-by-hand-0123456789") == [False, False]


async def test_heal_keeps_the_previous_password(home, adopted):
    previous = adopted.password()
    await Instance(home).run(adopted, Wish())
    adopted.set_passwords("set-by-hand-0123456789")
    await Instance(home).run(adopted)
    assert adopted.passwords == [previous, adopted.password()]


async def test_heal_never_brings_back_a_retired_password(home, adopted):
    leaked = adopted.password()
    await Instance(home).run(adopted, Wish(retire=True))
    adopted.set_passwords("set-by-hand-0123456789", leaked)
    await Instance(home).run(adopted)
    assert adopted.passwords == [adopted.password()]


async def test_heal_in_the_middle_of_a_rotation(home, due):
    """The pending password is set together with the current one, and the rotation goes on with it."""
    instance = Instance(home)
    instance.acknowledged = False
    await instance.run(due)
    staged = due.password("AWSPENDING")
    due.set_passwords("set-by-hand-0123456789")
    outcome = await Instance(home).run(due)
    assert steps(outcome) == ["heal", "promote"]
    assert due.password() == staged


async def test_a_fourth_heal_within_an_interval_is_left(home, adopted):
    """Somebody else keeps setting the passwords: it is said, and no fight begins."""
    instance = Instance(home)
    for _ in range(3):
        adopted.set_passwords("set-by-hand-0123456789")
        assert (await instance.run(adopted)).result is Result.HEALED
    adopted.set_passwords("set-by-hand-0123456789")
    outcome = await instance.run(adopted)
    assert outcome.result is Result.LEFT
    assert outcome.reason.startswith("contended")
    assert adopted.passwords == ["set-by-hand-0123456789"]


# Answers that get lost, and calls that fail.


@pytest.mark.parametrize("operation", CHANGES)
async def test_a_lost_answer(home, due, changes, operation):
    """Whoever runs next completes the rotation with the version that was staged: one version, one set of passwords."""
    versions = due.versions
    with home.sandbox.fault(service_of(operation), operation, "lose"), pytest.raises(RetryableError):
        await Instance(home).run(due)
    staged = due.labels["AWSPENDING"]
    outcome = await Instance(home).run(due)

    assert outcome.result in {Result.ROTATED, Result.IDLE}
    assert due.labels["AWSCURRENT"] == staged
    assert due.versions - versions == {staged}
    assert changes() == [*CHANGES]
    assert due.logs_in(due.password()) == [True, True]


@pytest.mark.parametrize("operation", ["CreateSecret", "PutSecretValue", *CHANGES[1:]])
async def test_an_adoption_that_loses_an_answer(home, subject, operation):
    with home.sandbox.fault(service_of(operation), operation, "lose"), pytest.raises(RetryableError):
        await Instance(home).run(subject)
    await Instance(home).run(subject)
    assert len(subject.versions) == 2
    assert subject.passwords == [subject.password()]


@pytest.mark.parametrize("operation", CHANGES)
async def test_a_throttled_change_is_sent_once(home, due, changes, operation):
    """Retrying is the plan's business, and it comes to the same version."""
    versions = due.versions
    with home.sandbox.fault(service_of(operation), operation, "throttle"), pytest.raises(ThrottledError):
        await Instance(home).run(due)
    assert changes().count(operation) == 1
    await Instance(home).run(due)
    assert len(due.versions - versions) == 1
    assert due.labels["AWSCURRENT"] in due.versions - versions


async def test_a_missing_permission_names_the_action_and_the_user(home, due):
    with (
        home.sandbox.fault("elasticache", "ModifyUser", "fail", code="AccessDenied", status=403),
        pytest.raises(AccessDeniedError, match=rf"elasticache:ModifyUser on {due.user.arn} in") as caught,
    ):
        await Instance(home).run(due)
    assert due.password("AWSPENDING") not in str(caught.value)


async def test_an_applied_password_that_stays_rejected_waits_longer_each_time(home, due):
    """It is applied again, never replaced, and with growing pauses."""
    instance, waits = Instance(home), []
    with home.sandbox.fault("elasticache", "ModifyUser", "fail", count=None, code="Any", status=500):
        for _ in range(3):
            with pytest.raises(RetryableError):
                await instance.run(due)
            outcome = await instance.run(due)
            assert outcome.result is Result.WAITING
            waits.append(outcome.due - instance.account.now())
            memory = instance.engine._pacing._memories[due.user.key]
            instance.engine._pacing._memories[due.user.key] = _long_ago(memory)
    assert waits[0] < waits[1] < waits[2]
    assert (await instance.run(due)).result is Result.ROTATED
    assert len(due.versions) == 2


def _long_ago(memory):
    return replace(memory, not_before=memory.not_before - timedelta(hours=1))


# Rivals.


async def meet(home, subject, operation, between):
    """Lets an instance come to the point of a call, lets something happen, and lets it go on."""
    with home.sandbox.fault(service_of(operation), operation, "hold") as held:
        async with asyncio.TaskGroup() as group:
            run = group.create_task(Instance(home).run(subject))
            await asyncio.to_thread(held.wait)
            await between()
            held.release()
    return run.result()


async def test_a_rival_stages_first(home, due, changes):
    """Both came to the same token, so one of them wins; the other goes on with the winner's version."""
    rival = Instance(home)
    held = await rival.vault.read(due.user.key)
    theirs = new_password()

    async def stage():
        home.secretsmanager.put_secret_value(
            SecretId=due.secret,
            ClientRequestToken=version_token(held),
            SecretString=json.dumps(
                {
                    "username": due.user.name,
                    "password": theirs.get_secret_value(),
                    "user_arn": due.user.arn,
                    "valkeeper": {"succeeds": held.current.id, "retire": False},
                }
            ),
            VersionStages=["AWSPENDING"],
        )

    # The sandbox holds one request, so the rival's put goes through.
    outcome = await meet(home, due, "PutSecretValue", stage)
    assert outcome.result is Result.ROTATED
    assert "stage" not in outcome.steps
    assert due.password() == theirs.get_secret_value()
    assert due.labels["AWSCURRENT"] == version_token(held)
    assert changes().count("ModifyUser") == 1


@pytest.mark.parametrize("operation", CHANGES)
async def test_a_rival_does_the_whole_rotation_meanwhile(home, due, operation):
    """One due rotation makes one version, wherever the slower of two stood; and both end with what works."""
    versions = due.versions

    async def rotate():
        await Instance(home).run(due)

    outcome = await meet(home, due, operation, rotate)
    assert outcome.result in {Result.FOLLOWED, Result.IDLE, Result.ROTATED}
    assert len(due.versions - versions) == 1
    assert due.labels["AWSCURRENT"] in due.versions - versions
    assert due.logs_in(due.password()) == [True, True]


async def test_a_rival_promotes_first(home, due):
    """The compare-and-set fails, and that is no failure: the user has its new password."""

    async def promote():
        labels = due.labels
        home.secretsmanager.update_secret_version_stage(
            SecretId=due.secret,
            VersionStage="AWSCURRENT",
            MoveToVersionId=labels["AWSPENDING"],
            RemoveFromVersionId=labels["AWSCURRENT"],
        )

    outcome = await meet(home, due, "UpdateSecretVersionStage", promote)
    assert outcome.result is Result.FOLLOWED
    assert outcome.secret.current.id == due.labels["AWSCURRENT"] == due.labels["AWSPENDING"]


async def test_two_adopt_at_once(home, subject):
    """The seed's token and value are the same for all, so rivals write the same."""
    outcomes = await asyncio.gather(*(Instance(home).run(subject) for _ in range(2)))
    assert {one.result for one in outcomes} <= {Result.ADOPTED, Result.FOLLOWED}
    assert len(subject.versions) == 2
    assert subject.passwords == [subject.password()]


async def test_a_stale_writer_heals_its_own_damage(home, adopted):
    """Its ModifyUser was in the air while two rotations went by: it looks again when it has settled, and mends."""
    adopted.age(later())

    async def two_rotations():
        for _ in range(2):
            await Instance(home).run(adopted, Wish())

    outcome = await meet(home, adopted, "ModifyUser", two_rotations)
    assert "heal" in outcome.steps
    assert adopted.logs_in(adopted.password()) == [True, True]


async def test_labels_are_read_again_right_before_a_change(home, due, changes):
    """An instance that was paused between looking and changing does not change."""
    slow, fast = Instance(home), Instance(home)
    await _staged_only(slow, due)
    original, calls = slow.vault.unchanged, []

    async def paused(key, held):
        if not calls:
            await fast.run(due)
            changes()
        calls.append(await original(key, held))
        return calls[-1]

    slow.vault.unchanged = paused
    slow.acknowledged = True
    outcome = await slow.run(due)
    assert calls == [False]
    assert changes() == []
    assert outcome.result is Result.FOLLOWED


async def _staged_only(instance, subject):
    instance.acknowledged = False
    assert (await instance.run(subject)).steps == ("stage",)


# What is not to be touched, or has to be waited for.


async def test_a_user_that_is_off_is_left_alone(home, unique, changes):
    subject = home.add_user(unique, access_string="off ~* +@all")
    outcome = await Instance(home).run(subject)
    assert outcome.result is Result.LEFT
    assert "'off'" in outcome.reason
    assert changes() == []


async def test_a_user_that_vanished(home, unique):
    subject = home.add_user(unique)
    home.elasticache.modify_user_group(UserGroupId=f"{home.database.name}-users", UserIdsToRemove=[unique])
    home.sandbox.settle()
    home.elasticache.delete_user(UserId=unique)
    home.sandbox.settle()
    outcome = await Instance(home).run(subject)
    assert (outcome.result, outcome.reason) == (Result.LEFT, "the user no longer exists")


async def test_a_user_that_is_modifying_is_waited_for(home, due, changes):
    """Nothing is sent before it is active again, and then the rotation takes place."""
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            home.sandbox.set_modify_delay(0.02)
        await asyncio.sleep(0.01)

    password = due.password()
    home.sandbox.set_modify_delay(60)
    try:
        home.elasticache.modify_user(UserId=due.id, Passwords=[password])
        changes()
        outcome = await Instance(home, sleep=sleep).run(due)
    finally:
        home.sandbox.set_modify_delay(0.02)
    assert (outcome.steps[0], steps(outcome)) == ("settle", ROTATION)
    assert pauses[0] < pauses[2]  # ever longer
    assert changes() == [*CHANGES]


async def test_a_run_gives_up_on_a_user_that_never_settles(home, adopted):
    """After two minutes of looking it goes on with what it finds, and a run ends after its turns."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        if sum(slept) > 119:
            home.sandbox.set_modify_delay(0.02)
            home.sandbox.settle()

    password = adopted.password()
    home.sandbox.set_modify_delay(600)
    try:
        home.elasticache.modify_user(UserId=adopted.id, Passwords=[password])
        outcome = await Instance(home, sleep=sleep, chance=lambda: 0.5).run(adopted)
    finally:
        home.sandbox.set_modify_delay(0.02)
    assert max(slept) == 2.0
    assert outcome.steps == ("settle",)


async def test_a_hurried_run_reads_the_labels_while_the_user_settles(home, adopted):
    """A rival may have promoted meanwhile, and proxies that were refused wait for the news."""
    read = []

    async def sleep(_):
        read.append(sum(entry["operation"] == "DescribeSecret" for entry in home.sandbox.requests()))
        if len(read) == 2:
            instance.engine.hurry(adopted.user.key)
        if len(read) == 4:
            home.sandbox.set_modify_delay(0.02)
            home.sandbox.settle()

    password = adopted.password()
    instance = Instance(home, sleep=sleep)
    home.sandbox.set_modify_delay(600)
    try:
        home.elasticache.modify_user(UserId=adopted.id, Passwords=[password])
        home.sandbox.reset_requests()
        await instance.run(adopted)
    finally:
        home.sandbox.set_modify_delay(0.02)
    assert read == [1, 1, 2, 2]


async def test_a_day_full_of_versions_stretches_the_interval(home, due, changes):
    """The schedule goes slower before Secrets Manager has no room; who asks is still served, up to a point."""
    for number in range(95):
        due.put("somebody-elses", password=str(number))
    due.put("AWSCURRENT", username=due.id, password=due.password())
    due.age(timedelta(minutes=16))
    changes()
    outcome = await Instance(home).run(due)
    assert (outcome.result, outcome.headroom.versions, changes()) == (Result.IDLE, 97, [])
    assert outcome.due - outcome.secret.current.created > INTERVAL
    assert (await Instance(home).run(due, Wish())).result is Result.ROTATED
    outcome = await Instance(home).run(due, Wish())
    assert outcome.result is Result.LEFT
    assert "98 versions" in outcome.reason
    assert (await Instance(home).run(due, Wish(retire=True))).result is Result.ROTATED


async def test_a_secret_scheduled_for_deletion(home, due, changes):
    """It is said, nothing is changed, and once it is restored all goes on."""
    home.secretsmanager.delete_secret(SecretId=due.secret, RecoveryWindowInDays=7)
    outcome = await Instance(home).run(due)
    assert outcome.result is Result.LEFT
    assert "restore-secret" in outcome.reason
    assert changes() == []
    home.secretsmanager.restore_secret(SecretId=due.secret)
    assert (await Instance(home).run(due)).result is Result.ROTATED


async def test_a_foreign_pending_version_is_left_alone(home, due, changes):
    foreign = due.put("AWSPENDING", username=due.user.name, password="somebody-elses-0123456789")
    changes()
    outcome = await Instance(home).run(due)
    assert outcome.result is Result.LEFT
    assert "--force" in outcome.reason
    assert changes() == []
    assert due.labels["AWSPENDING"] == foreign


async def test_force_takes_over_a_foreign_pending_version(home, adopted):
    foreign = adopted.put("AWSPENDING", username=adopted.user.name, password="somebody-elses-0123456789")
    outcome = await Instance(home).run(adopted, Wish(force=True))
    assert outcome.result is Result.ROTATED
    assert foreign not in adopted.labels.values()
    assert "somebody-elses-0123456789" not in adopted.passwords


async def test_an_orphan_is_staged_over(home, due):
    """A version of ours that succeeds what is no longer AWSCURRENT."""
    orphan = due.put(
        "AWSPENDING",
        username=due.user.name,
        password="o" * 64,
        valkeeper={"succeeds": "another", "retire": False},
    )
    outcome = await Instance(home).run(due)
    assert outcome.result is Result.ROTATED
    assert orphan not in due.labels.values()


async def test_an_operators_own_awscurrent_is_made_to_work(home, adopted):
    """Whatever AWSCURRENT holds is what has to log in."""
    adopted.put("AWSCURRENT", username=adopted.user.name, password="operators-own-0123456789")
    outcome = await Instance(home).run(adopted)
    assert "heal" in outcome.steps
    assert adopted.password() == "operators-own-0123456789"
    assert adopted.logs_in("operators-own-0123456789") == [True, True]


# Endpoints that can't be reached.


@pytest.fixture(scope="session")
def frail(sandbox, aws_session):
    """A database whose servers may be stopped."""
    return Home(sandbox, aws_session, sandbox.create_replication_group(f"frail-{os.getpid()}"))


async def test_an_unreachable_endpoint_holds_promotion_for_half_an_interval(frail, unique):
    subject = frail.add_user(unique, adopted=True)
    before = subject.labels["AWSCURRENT"]
    subject.age(later())
    reader = frail.nodes[1].id
    frail.sandbox.node(reader, "stop")
    try:
        outcome = await Instance(frail).run(subject)
        assert outcome.result is Result.WAITING
        assert steps(outcome) == ROTATION[:-1]
        assert subject.labels["AWSCURRENT"] == before

        subject.age(INTERVAL / 2 + timedelta(seconds=1))
        outcome = await Instance(frail).run(subject)
        assert (outcome.result, outcome.steps) == (Result.ROTATED, ("promote",))
    finally:
        frail.sandbox.node(reader, "start")
    assert subject.logs_in(subject.password()) == [True, True]


async def test_no_reachable_endpoint_changes_nothing_however_late(frail, unique, changes):
    subject = frail.add_user(unique, adopted=True)
    subject.age(later())
    password = subject.password()
    for node in frail.nodes:
        frail.sandbox.node(node.id, "stop")
    try:
        await Instance(frail).run(subject)
        subject.age(INTERVAL)
        changes()
        outcome = await Instance(frail).run(subject)
        assert outcome.result is Result.WAITING
        assert changes() == []
        assert subject.password() == password
    finally:
        for node in frail.nodes:
            frail.sandbox.node(node.id, "start")


# Looking, and forgetting.


async def test_look_reads_and_changes_nothing(home, due, changes):
    """A released user is read, so that clients get what its secret holds; it is never rotated."""
    instance = Instance(home)
    outcome = await instance.engine.look(due.user, instance.account)
    assert (outcome.result, outcome.steps) == (Result.IDLE, ())
    assert outcome.secret.current.id == due.labels["AWSCURRENT"]
    assert [held.current.id for _, _, held in instance.seen] == [outcome.secret.current.id]
    assert changes() == []


async def test_look_at_a_user_that_is_gone(home):
    instance = Instance(home)
    outcome = await instance.engine.look(user("nobody", place=home.place), instance.account)
    assert (outcome.result, outcome.reason) == (Result.LEFT, "the user no longer exists")


def test_new_passwords_are_64_letters_and_digits():
    told = {new_password().get_secret_value() for _ in range(50)}
    assert len(told) == 50
    assert all(len(one) == 64 and one.isascii() and one.isalnum() for one in told)
    assert isinstance(new_password(), SecretStr)


@pytest.mark.parametrize("last", ["stage", "apply", "promote"])
async def test_a_run_that_is_told_to_stop_ends_after_its_step_and_another_instance_goes_on(home, due, last):
    instance, before = Instance(home), due.labels["AWSCURRENT"]

    def stop_after():
        if instance.steps and instance.steps[-1] == last:
            instance.engine.stop()

    instance.watch = stop_after
    left = await instance.run(due)
    assert (left.result, left.steps[-1]) == (Result.WAITING, last)
    assert "the service stops" in left.reason

    pending = due.labels["AWSPENDING"]
    await Instance(home).run(due)
    assert (due.labels["AWSCURRENT"], due.labels["AWSPREVIOUS"]) == (pending, before)
    assert len(due.passwords) == 2


async def test_a_staged_version_that_lost_its_label_by_hand_is_taken_up_again(home, due):
    """Its token is used up, and no other value can ever be put under it: without this nothing would be rotated again."""
    instance = Instance(home)
    instance.watch = lambda: instance.engine.stop() if instance.steps == ["stage"] else None
    await instance.run(due)
    staged = due.labels["AWSPENDING"]
    home.secretsmanager.update_secret_version_stage(
        SecretId=due.secret, VersionStage="AWSPENDING", RemoveFromVersionId=staged
    )
    assert "AWSPENDING" not in due.labels

    outcome = await Instance(home).run(due)
    assert outcome.result is Result.ROTATED
    assert due.labels["AWSCURRENT"] == staged
    assert due.logs_in(due.password()) == [True, True]
