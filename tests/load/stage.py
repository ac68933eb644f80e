"""A Redis and a proxy with nothing else to do, for programs that measure or break them."""

import contextlib
import tempfile
from pathlib import Path

import trustme

from tests.proxy.proxykit import Proxy, Publisher, Server, credential, directory, eventually

__all__ = ["stage"]


@contextlib.contextmanager
def stage(**settings):
    """A server, and a proxy that has one worker and serves nothing yet."""
    with tempfile.TemporaryDirectory(prefix="vk", dir="/tmp") as name:
        folder = Path(name)
        (folder / "control").mkdir()
        server = Server(folder, trustme.CA())
        server.start()
        publisher = Publisher(str(folder / "control" / "directory.sock")).start()
        publisher.publish(directory(credentials=[credential()]))
        proxy = Proxy({"runtime_dir": name} | settings, folder / "proxy.log", publisher)
        try:
            eventually(proxy.workers, what="a worker")
            yield server, proxy
            proxy.check_log()
        finally:
            proxy.stop()
            publisher.stop()
            server.stop()
