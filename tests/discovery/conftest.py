"""What discovery's tests against the sandbox share."""

import pytest

from discovery.aws import Sessions
from tests.discovery.region import Region


@pytest.fixture
def region(sandbox, monkeypatch):
    """Opens a region of the sandbox's account, for sources of some types; each test names one of its own."""
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    sessions = Sessions()
    yield lambda name, types=("elasticache",): Region(sandbox, name, sessions, types)
    sessions.close()
