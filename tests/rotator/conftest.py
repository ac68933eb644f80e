"""What the rotator's tests share: a database in the sandbox, real sessions to it, and short folders for sockets."""

import asyncio
import itertools
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from discovery.aws import Sessions
from tests.rotator.instances import Home

_numbers = itertools.count(1)


@pytest.fixture
def unique():
    """A name that no other test in this sandbox uses."""
    return f"r{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def short_dir():
    """A folder whose path leaves room for sockets: 107 bytes are all a Unix socket's may have."""
    path = Path(tempfile.mkdtemp(prefix="vk", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def aws_session(sandbox):
    """The one real door to the sandbox's account. Its clients are made once: that takes long."""
    sessions = Sessions()

    async def open_it():
        session = await sessions.open(sandbox.region)
        for service in ("elasticache", "memorydb", "secretsmanager"):
            for changes in (False, True):
                await asyncio.to_thread(session._client, service, changes=changes)
        return session

    with pytest.MonkeyPatch.context() as patch:
        for name, value in sandbox.environment().items():
            patch.setenv(name, value)
        session = asyncio.run(open_it())
    yield session
    sessions.close()


@pytest.fixture(scope="session")
def home(sandbox, aws_session):
    """A database of one primary and one reader, shared by all tests that stop none of its servers."""
    return Home(sandbox, aws_session, sandbox.create_replication_group(f"rotator-{os.getpid()}"))


@pytest.fixture
def subject(home, unique):
    """A user that is tagged and not yet adopted."""
    return home.add_user(unique)


@pytest.fixture
def adopted(home, unique):
    """A user whose password Valkeeper holds, not yet due."""
    return home.add_user(unique, adopted=True)
