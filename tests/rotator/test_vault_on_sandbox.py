"""What surrounds a managed user's versions, on the sandbox's Secrets Manager: KMS key, description, tags, AWS's form."""

import json
from dataclasses import replace

import pytest

from rotator.engine import Result, Wish
from tests.rotator.instances import Instance, later

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
AMENDING = {"UpdateSecret", "TagResource"}


def described(subject):
    return subject.home.secretsmanager.describe_secret(SecretId=subject.secret)


def tags_of(subject):
    return {tag["Key"]: tag["Value"] for tag in described(subject)["Tags"]}


@pytest.fixture
def amendments(sandbox):
    """How often a secret's attributes were set since the last call of this."""

    def asked():
        found = [one["operation"] for one in sandbox.requests() if one["operation"] in AMENDING]
        sandbox.reset_requests()
        return found

    sandbox.reset_requests()
    return asked


@pytest.fixture
def by_hand(home, unique):
    """A user whose secret somebody made by hand: AWS's form, and nothing of Valkeeper's."""
    subject = home.add_user(unique)
    password = home.sandbox.passwords(subject.id)[0]
    value = {"username": subject.id, "password": password}
    home.secretsmanager.create_secret(Name=subject.secret, SecretString=json.dumps(value))
    return subject


async def test_another_key_encrypts_the_same_versions(home, adopted, amendments):
    """A key that is configured later is given to the secret, and neither a version nor a password is made for it."""
    versions, labels, passwords = adopted.versions, adopted.labels, adopted.passwords
    outcome = await Instance(home, kms_key_id=KEY).run(adopted)

    assert (outcome.result, outcome.steps) == (Result.AMENDED, ("amend",))
    assert described(adopted)["KmsKeyId"] == KEY
    assert (adopted.versions, adopted.labels, adopted.passwords) == (versions, labels, passwords)
    assert adopted.logs_in(adopted.password()) == [True, True]
    assert amendments() == ["UpdateSecret"]
    assert (await Instance(home, kms_key_id=KEY).run(adopted)).result is Result.IDLE
    assert amendments() == []


async def test_a_new_secret_is_made_with_its_key_and_needs_no_amendment(home, subject, amendments):
    outcome = await Instance(home, kms_key_id=KEY).run(subject)
    assert outcome.result is Result.ADOPTED
    assert described(subject)["KmsKeyId"] == KEY
    assert amendments() == []


async def test_without_a_configured_key_the_secrets_own_stays(home, adopted, amendments):
    home.secretsmanager.update_secret(SecretId=adopted.secret, KmsKeyId=KEY)
    amendments()
    assert (await Instance(home).run(adopted)).result is Result.IDLE
    assert described(adopted)["KmsKeyId"] == KEY
    assert amendments() == []


async def test_an_alias_that_is_told_as_a_key_is_set_once(home, adopted, amendments):
    """AWS may tell an alias as the key it stands for, which no comparison of names can see."""
    instance = Instance(home, kms_key_id="alias/valkeeper")
    read = instance.vault.read

    async def told_as_a_key(key):
        secret = await read(key)
        return replace(secret, attributes=replace(secret.attributes, kms_key_id=KEY))

    instance.vault.read = told_as_a_key
    assert (await instance.run(adopted)).result is Result.AMENDED
    assert (await instance.run(adopted)).result is Result.IDLE
    assert amendments() == ["UpdateSecret"]


async def test_a_secret_made_by_hand_gets_tags_and_a_description(home, by_hand):
    outcome = await Instance(home).run(by_hand)
    assert outcome.steps == ("amend",)
    assert tags_of(by_hand) == {"valkeeper:managed": "true", "valkeeper:user-arn": by_hand.user.arn}
    assert "kept fresh by Valkeeper" in described(by_hand)["Description"]


async def test_a_rotation_that_is_due_takes_the_new_key_first(home, adopted):
    adopted.age(later())
    outcome = await Instance(home, kms_key_id=KEY).run(adopted)
    assert outcome.result is Result.ROTATED
    assert [step for step in outcome.steps if step != "settle"] == ["amend", "stage", "apply", "promote"]


@pytest.mark.parametrize("operation", ["UpdateSecret", "TagResource"])
async def test_a_missing_permission_stops_no_rotation(home, by_hand, amendments, operation):
    """Each of the two calls is tried once, then rotations go on without what could not be set."""
    instance = Instance(home)
    with home.sandbox.fault(
        "secretsmanager", operation, "fail", count=None, code="AccessDeniedException", status=400
    ):
        outcome = await instance.run(by_hand, Wish())
        assert outcome.result is Result.ROTATED
        assert set(amendments()) == AMENDING
        await instance.run(by_hand, Wish())
        assert amendments() == []
    assert bool(tags_of(by_hand)) is (operation == "UpdateSecret")
    assert bool(described(by_hand)["Description"]) is (operation == "TagResource")


async def test_the_secret_is_in_the_form_that_any_sdk_reads(home, subject):
    """The keys of AWS's own ElastiCache rotation: whoever reads them with plain boto3 can log in."""
    await Instance(home).run(subject)
    answer = home.secretsmanager.get_secret_value(SecretId=subject.secret)
    value = json.loads(answer["SecretString"])
    assert (value["username"], value["user_arn"]) == (subject.user.name, subject.user.arn)
    assert subject.logs_in(value["password"]) == [True, True]
