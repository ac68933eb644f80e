"""A rotator that is killed half-way, at each call that changes something: the next one ends what it began."""

from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from tests.system.harness import Hammer, eventually

SERVICES = {
    "CreateSecret": "secretsmanager",
    "PutSecretValue": "secretsmanager",
    "ModifyUser": "elasticache",
    "UpdateSecretVersionStage": "secretsmanager",
}
# By what each call names its user as it travels: a secret's name, its ARN, or a form's field.
NAMING = {
    "CreateSecret": '/user/{}"',
    "PutSecretValue": "/user/{}-",
    "ModifyUser": "UserId={}&",
    "UpdateSecretVersionStage": "/user/{}-",
}
ROTATING = [call for call in SERVICES if call != "CreateSecret"]


@pytest.fixture(scope="module", params=["before", "after", "late"])
def crash(request, shared, account, sandbox):
    """A rotator that was killed while four calls were held, each for a user of its own; and its successor, at rest.

    The calls had their effect right after the kill (`before`), had had it before (`after`), or have it when the
    successor has done everything (`late`). Clients of the users that have a password hammer all the while.
    """
    users = {call: account.new_user()[0] for call in ROTATING}
    rotated = list(users.values())
    shared.discover()
    for user in rotated:
        shared.wait_for_user(user, state="fresh")
    shared.wait_for_clients(*rotated)
    before = {user: (account.labels(user)["AWSCURRENT"], account.versions(user)) for user in rotated}
    users["CreateSecret"] = newcomer = f"newcomer-{request.param}"
    serving, asked_before = (shared.proxy, shared.worker), sandbox.requests()[-1]["sequence"]
    staged = {}
    with Hammer(shared, rotated) as hammer:
        with ExitStack() as faults:
            when = "after" if request.param == "after" else "before"
            held = [
                faults.enter_context(
                    sandbox.fault(service, call, "hold", when=when, match=NAMING[call].format(users[call]))
                )
                for call, service in SERVICES.items()
            ]
            account.new_user(user_id=newcomer)
            shared.discover()
            shared.post("/v1/rotations", {"users": rotated})
            for fault in held:
                fault.wait()
            shared.kill_rotator()
            if request.param != "late":
                faults.close()
            hammer.wait_for()
            for user in rotated:
                if (request.param, user) != ("late", users["PutSecretValue"]):
                    staged[user] = eventually(
                        lambda user=user: account.pending(user, before[user][0]), what="the staged version"
                    )
            shared.start()
            if request.param == "late":  # nothing has told AWS of it, so it has to be asked for once more
                shared.rotate(users["PutSecretValue"])
            for user in rotated:
                eventually(
                    lambda user=user: account.labels(user)["AWSCURRENT"] != before[user][0],
                    what=f"the promotion of {user}'s pending version",
                )
                shared.wait_for_user(user, state="fresh", version=account.labels(user)["AWSCURRENT"])
            shared.wait_for_user(newcomer, state="fresh")
        eventually(
            lambda: all(one["status"] for one in sandbox.requests(asked_before)),
            what="the end of all requests",
        )
        hammer.wait_for()
    return SimpleNamespace(
        valkeeper=shared,
        served_by=serving,
        users=users,
        before=before,
        staged=staged,
        failures=hammer.failures,
    )


def test_the_next_rotator_finds_the_proxy_alive_and_starts_no_second_one(crash):
    assert (crash.valkeeper.proxy, crash.valkeeper.worker) == crash.served_by


def test_no_client_notices(crash):
    assert crash.failures == []


@pytest.mark.parametrize("call", ROTATING)
def test_the_version_that_was_under_way_is_the_one_that_is_promoted(crash, account, call):
    user = crash.users[call]
    old, versions = crash.before[user]
    after = account.labels(user)
    assert account.versions(user) == [*versions, after["AWSCURRENT"]]
    assert after["AWSPREVIOUS"] == old
    assert after["AWSCURRENT"] == crash.staged.get(user, after["AWSCURRENT"])
    both = [account.value(user, after[label])["password"] for label in ("AWSPREVIOUS", "AWSCURRENT")]
    assert account.passwords(user) == both


def test_a_user_whose_secret_was_just_being_created_is_adopted(crash, account):
    user = crash.users["CreateSecret"]
    assert len(account.versions(user)) == 2
    assert account.passwords(user) == [account.password(user)]


@pytest.mark.parametrize("call", SERVICES)
def test_clients_get_in_at_every_endpoint_afterwards(crash, call):
    for database in ("orders", "orders-reader"):
        assert crash.valkeeper.lets_in(crash.users[call], database=database)
