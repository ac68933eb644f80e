"""Fixtures for pytest: load them with ``pytest_plugins = ["deploy.sandbox.fixtures"]``."""

from collections.abc import Iterator

import pytest

from deploy.sandbox.client import SandboxProcess

__all__ = ["sandbox"]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[SandboxProcess]:
    """An empty sandbox for all tests of this process, each of which names what it creates uniquely."""
    with SandboxProcess(empty=True, modify_delay=0.02) as process:
        yield process
