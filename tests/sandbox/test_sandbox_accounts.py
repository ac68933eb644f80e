"""Several accounts in one sandbox: each holds its own, also where the names are the same."""

from datetime import timedelta

import pytest
import redis

from deploy.sandbox.client import SandboxError


def test_two_accounts_hold_users_secrets_and_servers_of_the_same_name(sandbox, other, unique):
    accounts = (sandbox, other)
    passwords = [account.create_user(unique, managed=True) for account in accounts]
    assert [account.passwords(unique) for account in accounts] == [[password] for password in passwords]
    nodes = [account.create_replication_group(unique, [unique], replicas=0) for account in accounts]
    assert [[node.account for node in held] for held in nodes] == [[sandbox.account], [other.account]]
    for own, foreign, (node,) in zip(passwords, reversed(passwords), nodes, strict=True):
        with sandbox.redis(node, unique, own) as client:
            assert client.acl_whoami() == unique
        assert foreign != own
        with (
            sandbox.redis(node, unique, foreign) as client,
            pytest.raises(redis.exceptions.AuthenticationError),
        ):
            client.ping()
    for account in accounts:
        arns = [user["ARN"] for user in account.boto3("elasticache").describe_users(UserId=unique)["Users"]]
        assert arns == [account.user_arn(unique)]
        secrets = account.boto3("secretsmanager")
        secrets.create_secret(Name=unique, SecretString=account.account)
    other.age_secret(unique, 3600)
    values = [account.boto3("secretsmanager").get_secret_value(SecretId=unique) for account in accounts]
    assert [value["SecretString"] for value in values] == [sandbox.account, other.account]
    assert values[0]["CreatedDate"] - values[1]["CreatedDate"] > timedelta(minutes=59)


def test_memorydb_and_tags_are_each_accounts_own(sandbox, other, unique):
    passwords = [account.create_memorydb_user(unique, managed=True) for account in (sandbox, other)]
    held = [account.passwords(unique, service="memorydb") for account in (sandbox, other)]
    assert held == [[password] for password in passwords]
    for account in (sandbox, other):
        tagged = account.boto3("resourcegroupstaggingapi").get_resources(
            ResourceTypeFilters=["memorydb:user"], TagFilters=[{"Key": "teleport.dev/managed"}]
        )["ResourceTagMappingList"]
        arns = [resource["ResourceARN"] for resource in tagged]
        assert account.user_arn(unique, "memorydb") in arns
        assert {arn.split(":")[4] for arn in arns} == {account.account}


def test_an_account_has_one_key_and_a_number(sandbox, other):
    assert sandbox.open_account(other.account).environment() == other.environment()
    assert sandbox.open_account(sandbox.account).environment() == sandbox.environment()
    with pytest.raises(SandboxError, match="twelve digits"):
        sandbox.open_account("42")
