"""Real redis-server processes, one per node, with TLS and an administrator of the sandbox's own."""

import contextlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deploy.sandbox.acl import Acl, changes
from deploy.sandbox.auth_stream import Judge
from deploy.sandbox.certificates import Certificates
from deploy.sandbox.gate import Gate, Gates

__all__ = ["HOST", "Launcher", "Node", "NodeState", "Role", "new_administrator_password"]

HOST = "127.0.0.1"
_START_SECONDS = 20.0
_COMMAND_SECONDS = 2.0
_ADMINISTRATOR = "valkeeper-sandbox"

Role = Literal["primary", "replica"]
NodeState = Literal["running", "paused", "stopped"]


class Launcher:
    """Starts server processes that cannot outlive the sandbox, not even when it is killed."""

    def __init__(self) -> None:
        server = shutil.which("redis-server") or shutil.which("valkey-server")
        if server is None:
            raise FileNotFoundError("no redis-server or valkey-server on PATH: run deploy/ensure-redis")
        self._command = [server, "-"]
        setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
        if setpriv is not None:
            self._command = [setpriv, "--pdeathsig", "KILL", "--", *self._command]
        # Linux sends the signal when the *thread* that started the child ends: so one thread that
        # lives as long as the sandbox starts them all.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="launcher")

    def start(self, configuration: str) -> subprocess.Popen[bytes]:
        """Start a server with `configuration`, handed over on its input: in no file, on no command line."""
        return self._thread.submit(self._start, configuration).result()

    def _start(self, configuration: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C goes to the whole terminal group; the sandbox ends its servers itself.
            start_new_session=True,
        )
        if process.stdin is None:
            raise AssertionError
        process.stdin.write(configuration.encode())
        process.stdin.close()
        return process


class Node:
    """One server on a port of its own, which it keeps when it is stopped and started again.

    Once guarded, it listens on another port, and a gate on this one.
    """

    def __init__(
        self,
        launcher: Launcher,
        certificates: Certificates,
        directory: Path,
        *,
        owner: str,
        role: Role,
        administrator_password: str,
        gates: Gates,
        judge: Judge,
        cluster: bool = False,
    ) -> None:
        self.owner = owner
        self.role: Role = role
        self.state: NodeState = "stopped"
        self.cluster = cluster
        self._launcher = launcher
        self._certificates = certificates
        self._directory = directory
        self._password = administrator_password
        self._reservations = [_reserve(), _reserve(), *([_reserve()] if cluster else [])]
        self.port, self._inner_port, *bus = [
            reservation.getsockname()[1] for reservation in self._reservations
        ]
        self.bus_port: int = bus[0] if bus else 0
        self.id = f"{HOST}:{self.port}"
        self.cluster_file = directory / f"{self.port}.nodes"
        self._process: subprocess.Popen[bytes] | None = None
        self._admin: redis.Redis | None = None
        self._held: Acl = {}
        self._gate = Gate(gates, port=self.port, server_port=self._inner_port, judge=judge)
        self._guarded = False

    @property
    def pid(self) -> int | None:
        """The server's process, or None while it is stopped."""
        return self._process.pid if self._process else None

    @property
    def admin(self) -> redis.Redis:
        """A connection of the sandbox's own administrator, who is in no account."""
        if self._admin is None:
            self._admin = redis.Redis(
                host=HOST,
                port=self._inner_port if self._guarded else self.port,
                username=_ADMINISTRATOR,
                password=self._password,
                ssl=True,
                ssl_ca_certs=str(self._certificates.ca_file),
                socket_timeout=_COMMAND_SECONDS,
                socket_connect_timeout=_COMMAND_SECONDS,
                decode_responses=True,
                retry=Retry(NoBackoff(), 0),
            )
        return self._admin

    def start(self) -> None:
        """Start the server and wait until it answers; its users are to be applied afterwards.

        One that is guarded takes clients only then, with `open`.
        """
        if sys.platform != "linux":
            # Elsewhere a reservation would keep the server itself from taking the port.
            self._release()
        self._process = self._launcher.start(self._configuration())
        self._held = {}
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.admin.ping()
                break
            except redis.ConnectionError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise RuntimeError(
                        f"redis-server of {self.owner} did not start:\n{self._log()}"
                    ) from None
                time.sleep(0.005)
        self.state = "running"

    def stop(self) -> None:
        """Kill the server, as a machine fails: no farewell to its clients."""
        self.state = "stopped"
        self._gate.close()
        self._drop_admin()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Freeze the server: it still accepts connections, and answers nothing."""
        if self._process is not None and self.state == "running":
            self.state = "paused"
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        if self._process is not None and self.state == "paused":
            self._process.send_signal(signal.SIGCONT)
            self.state = "running"

    def guard(self) -> None:
        """Put the gate on the server's port, for good; connections that there are stay as they are.

        A paused server cannot be told, and stays without.

        Raises:
            redis.RedisError: the server did not leave its port.
        """
        if self._guarded or self.state == "paused":
            return
        if self.state == "running":
            self.admin.config_set("tls-port", self._inner_port)
            self._drop_admin()
        self._guarded = True
        self.open()

    def open(self) -> None:
        """Let clients in to a guarded server that runs."""
        if self._guarded and self.state == "running":
            self._gate.open()

    def apply(self, wanted: Acl) -> None:
        """Make the server's users exactly `wanted`; a server that is down gets them when it starts.

        Raises:
            redis.RedisError: the server refused a rule, or did not answer.
        """
        if self.state != "running":
            return
        commands = list(changes(self._held, wanted))
        if not commands:
            return
        # Unknown until the server has answered, so that after an error the next attempt sets all once more.
        self._held = dict.fromkeys({*self._held, *wanted}, ())
        with self.admin.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command("ACL", *command)
            pipeline.execute()
        self._held = dict(wanted)

    def close(self) -> None:
        """Kill the server and give its port back."""
        self.stop()
        self._release()

    def _drop_admin(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None

    def _release(self) -> None:
        for reservation in self._reservations:
            reservation.close()

    def _configuration(self) -> str:
        files = self._certificates
        lines = [
            f"bind {HOST}",
            "port 0",
            f"tls-port {self._inner_port if self._guarded else self.port}",
            f"tls-cert-file {files.certificate_file}",
            f"tls-key-file {files.key_file}",
            f"tls-ca-cert-file {files.ca_file}",
            "tls-auth-clients no",
            "tls-replication yes",
            'save ""',
            "appendonly no",
            f"dir {self._directory}",
            f"logfile {self._directory / f'{self.port}.log'}",
            "user default off",
            f"user {_ADMINISTRATOR} on >{self._password} ~* &* +@all",
            f"masteruser {_ADMINISTRATOR}",
            f"masterauth {self._password}",
            "repl-diskless-sync yes",
            "repl-diskless-sync-delay 0",
            "repl-diskless-load on-empty-db",
        ]
        if self.cluster:
            lines += [
                "cluster-enabled yes",
                f"cluster-port {self.bus_port}",
                f"cluster-config-file {self.cluster_file.name}",
                f"cluster-announce-ip {HOST}",
                f"cluster-announce-tls-port {self.port}",
                "tls-cluster yes",
            ]
        return "\n".join(lines) + "\n"

    def _log(self) -> str:
        with contextlib.suppress(OSError):
            return (self._directory / f"{self.port}.log").read_text()
        return "(no log)"


def new_administrator_password() -> str:
    """Make a password for the administrator of a group of nodes."""
    return secrets.token_hex(32)


def _reserve() -> socket.socket:
    """Take a free port, and keep it from everybody but a server that is told to listen on it.

    A bound socket that does not listen lets another with SO_REUSEADDR, as Redis sets, listen on its
    port (Linux), while the kernel hands the port to nobody who asks for just any.
    """
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind((HOST, 0))
    return reservation
