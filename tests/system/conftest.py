"""One AWS account for each process of the tests, and one Valkeeper that looks after it until somebody kills it."""

import pytest

from deploy.sandbox.client import SandboxProcess
from tests.system.harness import Account, Valkeeper


@pytest.fixture(scope="session")
def sandbox():
    """An account with the database `orders` and its users `app`, `batch` (both tagged) and `legacy` (not)."""
    with SandboxProcess(modify_delay=0.05) as process:
        yield process


@pytest.fixture(scope="session")
def account(sandbox):
    return Account(sandbox)


@pytest.fixture(scope="session")
def shared(account):
    """The one service of these tests; tests ask for `valkeeper`, which sees to it that it is well."""
    settings = account.settings() | {"VALKEEPER_DISCOVERY__INTERVAL": "2s"}
    with Valkeeper(settings) as valkeeper:
        yield valkeeper.wait_for_clients("app", "batch")


@pytest.fixture
def valkeeper(shared):
    """A running service with hourly rotations; a test that harms it starts it again."""
    shared.wait_for_clients("app", "batch")
    return shared
