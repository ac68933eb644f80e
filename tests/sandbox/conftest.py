"""What the sandbox's contract tests share."""

import itertools
import os

import pytest

_numbers = itertools.count(1)


@pytest.fixture
def unique():
    """A name that no other test in this sandbox uses."""
    return f"t{next(_numbers)}"


@pytest.fixture
def elasticache(sandbox):
    return sandbox.boto3("elasticache")


@pytest.fixture
def secretsmanager(sandbox):
    return sandbox.boto3("secretsmanager")


@pytest.fixture(scope="session")
def shared_database(sandbox):
    """A database of one primary and one reader that tests add their own users to."""
    name = f"shared-{os.getpid()}"
    return name, sandbox.create_replication_group(name)


@pytest.fixture
def user(sandbox, elasticache, shared_database, unique):
    """A user that reaches the shared database, with its password."""
    name, _ = shared_database
    password = sandbox.create_user(unique)
    elasticache.modify_user_group(UserGroupId=f"{name}-users", UserIdsToAdd=[unique])
    sandbox.settle()
    return unique, password


@pytest.fixture(scope="session")
def other(sandbox):
    """A second account in the same sandbox."""
    return sandbox.open_account("210987654321")
