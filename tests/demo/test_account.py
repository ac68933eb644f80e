"""What the demo reads and does in its account: a real sandbox, asked through AWS's API."""

import json

import pytest

from deploy.demo.account import Ageing, read_unmanaged
from deploy.demo.state import State
from tests.demo.records import event, user

IAM = {"Type": "iam"}
ACCESS = "on ~* &* +@all"


def key_of(sandbox, service, name):
    return f"{service}/{sandbox.region}/{sandbox.account}/user/{name}"


@pytest.fixture(scope="module")
def account(sandbox):
    """Of each service a managed, an untagged and an IAM user, named for this module."""
    for service, create, prefix in (
        ("elasticache", sandbox.create_user, "demo-e"),
        ("memorydb", sandbox.create_memorydb_user, "demo-m"),
    ):
        create(f"{prefix}-tagged", managed=True)
        create(f"{prefix}-plain")
        names = {"UserName": f"{prefix}-iam", "AccessString": ACCESS, "AuthenticationMode": IAM}
        if service == "elasticache":
            names |= {"UserId": f"{prefix}-iam", "Engine": "redis"}
        sandbox.boto3(service).create_user(**names)
    return sandbox


@pytest.mark.parametrize(("service", "prefix"), [("elasticache", "demo-e"), ("memorydb", "demo-m")])
def test_whoever_is_untagged_or_iam_is_read_as_the_account_has_it(account, service, prefix):
    found = read_unmanaged(account)
    assert key_of(account, service, f"{prefix}-tagged") not in found
    plain, iam = (found[key_of(account, service, f"{prefix}-{kind}")] for kind in ("plain", "iam"))
    assert (plain.authentication, plain.password_count, len(plain.passwords)) == ("password", 1, 1)
    assert (iam.authentication, iam.password_count, iam.passwords, iam.secrets) == ("iam", 0, (), ())
    assert plain.access == iam.access == ACCESS


def test_a_change_of_a_password_is_a_difference(account):
    before = read_unmanaged(account)
    account.boto3("memorydb").update_user(
        UserName="demo-m-plain", AuthenticationMode={"Type": "password", "Passwords": ["another-password-1"]}
    )
    account.settle()
    after = read_unmanaged(account)
    assert {key for key in before if before[key] != after[key]} == {
        key_of(account, "memorydb", "demo-m-plain")
    }


def test_a_secret_of_a_user_of_the_other_service_is_not_its_own(account):
    name = f"valkeeper/{key_of(account, 'memorydb', 'demo-e-plain')}"
    account.boto3("secretsmanager").create_secret(Name=name, SecretString="{}")
    own = f"valkeeper/{key_of(account, 'elasticache', 'demo-e-iam')}"
    account.boto3("secretsmanager").create_secret(Name=own, SecretString="{}")
    found = read_unmanaged(account)
    assert found[key_of(account, "elasticache", "demo-e-plain")].secrets == ()
    assert found[key_of(account, "elasticache", "demo-e-iam")].secrets == (own,)


@pytest.mark.parametrize("service", ["elasticache", "memorydb"])
def test_a_secret_gets_a_day_older_after_many_rotations(account, service):
    key, vault = key_of(account, service, "demo-aged"), account.boto3("secretsmanager")
    secret = f"valkeeper/{key}"
    made = vault.create_secret(Name=secret, SecretString=json.dumps({"password": "x"}))
    before = vault.get_secret_value(SecretId=secret, VersionId=made["VersionId"])["CreatedDate"]
    state = State(started_at=0.0, interval=15.0, duration=None)
    # It is due.
    view = user("demo-aged", service=service, age=15.0) | {
        "region": account.region,
        "account": account.account,
    }
    ageing = Ageing(account)
    for number in range(Ageing.AFTER):
        ageing.look(state.take_answers([], [view], 0.0))
        assert vault.get_secret_value(SecretId=secret)["CreatedDate"] == before
        rotated = event("rotation", number, user=key, result="rotated", reason=None, seconds=1.0)
        state = state.take_event(rotated)
    ageing.look(state.take_answers([], [view], 0.0))
    after = vault.get_secret_value(SecretId=secret)["CreatedDate"]
    assert (before - after).total_seconds() > 24 * 3600
    ageing.look(state.take_answers([], [view], 0.0))
    assert vault.get_secret_value(SecretId=secret)["CreatedDate"] == after
