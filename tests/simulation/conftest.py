"""The product's log says nothing while it is simulated, and speaks again afterwards."""

import pytest
import structlog

from tests.simulation.schedule import quiet_logs


@pytest.fixture(autouse=True)
def quiet():
    before = structlog.get_config()
    quiet_logs()
    yield
    structlog.configure(**before)
