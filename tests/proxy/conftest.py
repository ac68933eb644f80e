"""A real Redis over TLS, a rotator that only publishes, and the real proxy, for every test that asks."""

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
import trustme

from tests.proxy.proxykit import Proxy, Publisher, Server, credential, database, directory, free_port, token
from tests.proxy.reloadable import Reloadable
from tests.proxy.tlskit import ANYTHING, BACKEND, TlsDoor, write_certificate


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
    """Start a proxy of the test's own, that serves what the test publishes."""
    started = []

    def start(*, roles=(), **settings):
        settings = {"runtime_dir": str(short_dir), "drain_timeout": 0.2} | settings
        started.append(Proxy(settings, short_dir / "proxy.log", publisher, roles=roles))
        return started[-1]

    yield start
    for proxy in started:
        proxy.stop()
    if started:
        started[0].check_log()


@pytest.fixture
def own_proxy(start_proxy, publisher, server):
    """A proxy for tests that count, kill or stop: it serves `orders` with the managed user `app`."""
    publisher.publish(directory(database(server), credentials=[credential()]))
    return start_proxy().wait_for()


@pytest.fixture
def start_reloadable(short_dir, publisher, server):
    """Start the real command line with a configuration of the test's own; it serves `orders` with the user `app`."""
    publisher.publish(directory(database(server), credentials=[credential(version=token())]))
    started = []

    def start(**settings):
        started.append(Reloadable(short_dir, publisher, **settings).wait_for())
        return started[0]

    yield start
    assert started[0].stop() == 0
    started[0].check_log()
    assert not started[0].events("worker died")


@pytest.fixture(scope="session")
def keep_proxy(shared_server):
    """Start a proxy for many tests: it serves `orders` with the managed user `app` until the last of them."""
    with contextlib.ExitStack() as stack:

        def start(*, roles=(), **settings):
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vks", dir="/tmp")))
            path.chmod(0o755)
            (path / "control").mkdir(mode=0o700)
            publisher = Publisher(str(path / "control" / "directory.sock")).start()
            publisher.publish(directory(database(shared_server), credentials=[credential()]))
            proxy = Proxy({"runtime_dir": str(path)} | settings, path / "proxy.log", publisher, roles=roles)
            stack.callback(proxy.check_log)
            stack.callback(publisher.stop)
            stack.callback(proxy.process.wait)
            stack.callback(proxy.process.kill)
            return proxy.wait_for()

        yield start


@pytest.fixture(scope="session")
def shared_proxy(keep_proxy, shared_server, ca):
    port = free_port()
    write_certificate(ca, shared_server.folder)
    door, backend = (
        TlsDoor(shared_server.folder, shared_server.ca_file, role["name"]) for role in (ANYTHING, BACKEND)
    )
    listeners = [
        {"unix": "{runtime_dir}/{database}.sock"},
        {"unix": "{runtime_dir}/{database}.app.sock", "db_user": "app"},
        {"unix": "{runtime_dir}/all.sock"},
        {"unix": "{runtime_dir}/{database}.shared.sock", "mode": "shared"},
        {"tcp": f"127.0.0.1:{port}", "database": "carts"},
        door.listener(),
        backend.listener(db_user="legacy"),  # whom nobody logs in
    ]
    proxy = keep_proxy(listeners=listeners, roles=[ANYTHING, BACKEND])
    proxy.port, proxy.door, proxy.backend = port, door, backend
    return proxy


@pytest.fixture
def proxy(shared_proxy, server):
    """The shared proxy, for tests that only talk to it: it serves `orders` with the managed user `app`."""
    return shared_proxy.serve(database(server))


@pytest.fixture
def door(proxy):
    """A TLS port of the shared proxy, for all databases, by which everything is permitted."""
    return proxy.door
