"""One Redis over TLS and what leads to it: each target takes plaintext on loopback and verifies the database.

A further way to run Valkeeper is one more entry of `TARGETS`.
"""

import contextlib
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis
import trustme

from tests.proxy.proxykit import (
    Proxy,
    Publisher,
    Server,
    credential,
    database,
    directory,
    eventually,
    free_port,
)

__all__ = ["PASSWORD", "TARGETS", "USER", "Arena", "Running"]

USER, PASSWORD = "app", "app-current"
_MOST_CONNECTIONS = 4096


@dataclass(frozen=True, slots=True)
class Running:
    """A target that takes connections.

    Attributes:
        port: where, on 127.0.0.1.
        options: what redis-benchmark has to be told besides.
        processes: gives the ids of its processes, the parent's first; none: the database itself is the target.
    """

    port: int
    options: tuple[str, ...] = ()
    processes: Callable[[], list[int]] = list


class Arena:
    """The database, with a certificate of RSA-2048 as AWS has them, and a folder for whatever else is started."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="vkb", dir="/tmp"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            rsa = trustme.KeyType.RSA
            self.server = Server(self.folder, trustme.CA(key_type=rsa), key_type=rsa)
            stack.callback(self.server.stop)
            self.server.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *failure):
        self._stack.close()

    def store(self, size):
        """Have what redis-benchmark reads be of this size."""
        with self.server.client(USER, PASSWORD) as client:
            client.set("key:__rand_int__", b"x" * size)


@contextlib.contextmanager
def _direct(arena):
    yield Running(arena.server.port, ("--tls", "--cacert", str(arena.server.ca_file), "--sni", "localhost"))


@contextlib.contextmanager
def _haproxy(arena):
    port = free_port()
    config = f"""
global
    nbthread 1
    maxconn {_MOST_CONNECTIONS}
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen redis
    bind 127.0.0.1:{port}
    server redis 127.0.0.1:{arena.server.port} ssl verify required verifyhost localhost sni str(localhost) ca-file {arena.server.ca_file}
"""
    with _peer(arena, "haproxy", port, config, "-db", "-f") as running:
        yield running


@contextlib.contextmanager
def _stunnel(arena):
    port = free_port()
    config = f"""
foreground = yes
pid =
[redis]
client = yes
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{arena.server.port}
CAfile = {arena.server.ca_file}
verifyChain = yes
checkHost = localhost
"""
    with _peer(arena, "stunnel", port, config) as running:
        yield running


@contextlib.contextmanager
def _peer(arena, program, port, config, *options):
    """A program that is told everything by its configuration, which is the last of its arguments."""
    file = arena.folder / f"{program}.conf"
    file.write_text(config)
    with (arena.folder / f"{program}.log").open("ab") as log:
        process = subprocess.Popen([program, *options, str(file)], stdout=log, stderr=log)
    try:
        eventually(lambda: _answers(port), what=program)
        yield Running(port, processes=lambda: [process.pid])
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _valkeeper(arena, *, workers=1, mode="dedicated"):
    """The real parent and workers, one port, and the managed user whom Valkeeper logs in itself."""
    port = free_port()
    runtime_dir = Path(tempfile.mkdtemp(prefix="vkb", dir="/tmp"))
    control = runtime_dir / "control"
    control.mkdir(mode=0o700)
    publisher = Publisher(str(control / "directory.sock")).start()
    try:
        publisher.publish(directory(database(arena.server), credentials=[credential()]))
        settings = {
            "runtime_dir": str(runtime_dir),
            "workers": workers,
            "upstream": {"mode": mode},
            "drain_timeout": 0.2,
            "listeners": [{"tcp": f"127.0.0.1:{port}", "database": "orders"}],
            "limits": {"new_per_second": None},  # the default is a limit that no peer has
        }
        proxy = Proxy(settings, runtime_dir / "proxy.log", publisher, log_level="info")
        try:
            publisher.acknowledged(1)
            eventually(lambda: len(proxy.workers()) == workers and _answers(port), what="valkeeper")
            yield Running(port, processes=lambda: [proxy.process.pid, *proxy.workers()])
        finally:
            proxy.stop()
    finally:
        publisher.stop()
        shutil.rmtree(runtime_dir, ignore_errors=True)


def _answers(port):
    try:
        with redis.Redis(port=port, username=USER, password=PASSWORD) as client:
            return client.ping()
    except redis.ConnectionError:
        return False


TARGETS = {
    "direct": _direct,
    "haproxy": _haproxy,
    "stunnel": _stunnel,
    "valkeeper": _valkeeper,
    "shared": functools.partial(_valkeeper, mode="shared"),
    "valkeeper-2": functools.partial(_valkeeper, workers=2),
}
"""Context managers that start each target in an arena; the order is that of the table."""
