"""What the demo's account holds: an ElastiCache and a MemoryDB database, and a user of every kind for each."""

from deploy.demo.errors import DemoError
from deploy.sandbox.client import SandboxProcess

__all__ = ["set_up"]

_SECONDS = 60.0


def set_up(sandbox: SandboxProcess) -> None:
    """Create the users and their databases through AWS's API, and wait until the servers are up.

    Of the users some are tagged as managed, one of each service authenticates with IAM, and one is none of
    Valkeeper's business.

    Raises:
        DemoError: the servers did not come up.
    """
    for name, managed in (("app", True), ("batch", True), ("legacy", False)):
        sandbox.create_user(name, managed=managed)
    sandbox.create_iam_user("reporting")
    sandbox.create_replication_group("orders", ["app", "batch", "legacy", "reporting"], wait=False)
    for name, managed in (("web", True), ("ops", False)):
        sandbox.create_memorydb_user(name, managed=managed)
    sandbox.create_iam_user("session-audit", service="memorydb")
    sandbox.create_memorydb_cluster("sessions", ["web", "ops", "session-audit"], wait=False)
    try:
        sandbox.settle(_SECONDS)
    except TimeoutError as error:
        raise DemoError(f"the sandbox's databases did not come up: {error}") from None
