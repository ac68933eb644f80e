"""A real Redis over TLS, a rotator that only publishes, and the real proxy, for every test that asks."""

import shutil
import tempfile
from pathlib import Path

import pytest
import trustme

from tests.proxy.proxykit import Proxy, Publisher, Server, credential, database, directory


@pytest.fixture
def short_dir():
    """A folder whose path leaves room for sockets: 107 bytes are all a Unix socket's may have."""
    path = Path(tempfile.mkdtemp(prefix="vk", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def ca():
    return trustme.CA()


@pytest.fixture(scope="session")
def shared_server(ca):
    folder = Path(tempfile.mkdtemp(prefix="vkr", dir="/tmp"))
    server = Server(folder, ca)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def server(shared_server):
    """The shared server, with everything that a test may change put back."""
    yield shared_server
    shared_server.acl("app", "resetpass", ">app-current", ">app-previous")
    shared_server.acl("default", "resetpass", "off")


@pytest.fixture
def publisher(short_dir):
    control = short_dir / "control"
    control.mkdir(mode=0o700)
    publisher = Publisher(str(control / "directory.sock")).start()
    yield publisher
    publisher.stop()


@pytest.fixture
def start_proxy(short_dir, publisher):
    started = []

    def start(**settings):
        settings = {"runtime_dir": str(short_dir), "drain_timeout": 0.2} | settings
        proxy = Proxy(settings, short_dir / "proxy.log")
        started.append(proxy)
        return proxy

    yield start
    for proxy in started:
        proxy.stop()
    log = short_dir / "proxy.log"
    text = log.read_text() if log.exists() else ""
    assert "Traceback" not in text, text
    for secret in ("app-current", "app-previous", "other-current", "default-current"):
        assert secret not in text


@pytest.fixture
def proxy(start_proxy, publisher, server):
    """A proxy that serves `orders` with the managed user `app`."""
    publisher.publish(directory(database(server), credentials=[credential()]))
    return start_proxy().wait_for()
