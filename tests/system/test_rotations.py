"""Rotations on demand and by schedule, while clients keep connecting."""

import itertools
import json
from collections import Counter

from tests.system.harness import Account, Valkeeper, eventually, nobody_fails


def test_rotate_and_wait_changes_awscurrent_and_no_new_connection_fails(valkeeper, account):
    before = account.labels("app")
    with nobody_fails(valkeeper, "app", "batch"):
        done = valkeeper.run("rotate", "app", "--wait")
    assert (done.returncode, done.stderr) == (0, "")
    after = account.labels("app")
    assert after["AWSPREVIOUS"] == before["AWSCURRENT"]
    assert after["AWSCURRENT"] in done.stdout
    assert account.password("app") in account.passwords("app")


def test_a_connection_that_was_open_before_stays_usable_through_two_rotations(valkeeper, account):
    with valkeeper.client("app", single_connection_client=True) as client:
        connected_as = client.client_id()
        for _ in range(2):
            (done,) = valkeeper.rotate("app")
            assert done["result"] == "rotated"
            assert client.client_id() == connected_as
            assert client.acl_whoami() == "app"


def test_rotating_all_with_json_for_scripts(valkeeper, account):
    before = {user: account.labels(user)["AWSCURRENT"] for user in ("app", "batch")}
    done = valkeeper.run("rotate", "--all", "--wait", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rotations = {one["user"].rpartition("/")[2]: one for one in json.loads(done.stdout)}
    for user, old in before.items():
        assert rotations[user]["result"] == "rotated"
        assert rotations[user]["version"] == account.labels(user)["AWSCURRENT"] != old
    assert {one["id"] for one in valkeeper.get("/v1/users") if one["care"] == "managed"} == set(rotations)


def test_what_cannot_be_rotated_is_said_without_a_traceback(valkeeper):
    refused = valkeeper.run("rotate", "legacy", "--wait")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("valkeeper: user legacy is not managed: give it the tag")


def test_without_a_service_the_commands_say_so(valkeeper):
    missing = valkeeper.run("rotate", "app", "--runtime-dir", str(valkeeper.folder / "elsewhere"))
    assert missing.returncode == 3
    assert "is `valkeeper serve` running" in missing.stderr


def test_two_rotators_on_one_account_make_one_version_of_each_due_rotation(sandbox):
    """Both wake at the same instant, which AWS's clock tells both of them."""
    account = Account(sandbox, "eu-west-1")
    account.new_database("twins")
    user, _ = account.new_user("twins")
    settings = account.settings() | {"VALKEEPER_ROTATION__INTERVAL": "5s"}
    with Valkeeper(settings) as one, Valkeeper(settings) as other:
        for valkeeper in (one, other):
            valkeeper.wait_for_clients(user, database="twins")
        adopted = account.labels(user)["AWSCURRENT"]
        both = {"databases": ["twins", "twins-reader"]}
        with nobody_fails(one, user, **both), nobody_fails(other, user, **both):
            eventually(lambda: account.labels(user)["AWSCURRENT"] != adopted, what="a due rotation")
            for valkeeper in (one, other):
                version = account.labels(user)["AWSCURRENT"]
                valkeeper.wait_for_user(user, version=version)
        done = [event for side in (one, other) for event in side.events("rotation")]
        _seeded, *created = account.created(user)
        assert all(later - earlier > 4.9 for earlier, later in itertools.pairwise(created))
        promoted = Counter(event["version"] for event in done if event["result"] in ("adopted", "rotated"))
        assert len(promoted) >= 2
        assert set(promoted.values()) == {1}
        assert account.password(user) in account.passwords(user)
