"""`valkeeper serve` as a process of its own, in a private folder."""

import contextlib
import fcntl
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.demo.errors import DemoError
from rotator.client import ServiceClient
from rotator.errors import NotRunningError

__all__ = ["Folder", "Service", "tail"]

_STOP_SECONDS = 20.0  # the service drains its proxy for at most 10, and then some
_TAIL_LINES = 12


class Folder:
    """The private folder: the service's sockets, the logs. Its path is short, since sockets' paths must be."""

    def __init__(self) -> None:
        # Not $TMPDIR, which can be longer than a socket's path may be.
        self.path = Path(tempfile.mkdtemp(prefix="vk-demo-", dir="/tmp"))
        self.sandbox_log = self.path / "sandbox.log"
        self.service_log = self.path / "serve.log"

    def remove(self) -> list[Path]:
        """Leave nothing, and return that."""
        shutil.rmtree(self.path, ignore_errors=True)
        return []

    def keep_logs(self) -> list[Path]:
        """Leave nothing but what logs there are, and return these."""
        logs = [log for log in (self.sandbox_log, self.service_log) if log.exists() and log.stat().st_size]
        for entry in self.path.iterdir():
            if entry in logs:
                continue
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if not logs:
            self.path.rmdir()
        return logs


def tail(log: Path) -> str:
    """The last lines of a log."""
    with contextlib.suppress(FileNotFoundError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
    return ""


class Service:
    """The service, its API and its events; ended at the end of the `with` block, and its proxy with it.

    Args:
        folder: where its sockets and its log go.
        environment: of the sandbox.
        ca_file: which the databases' certificates are from.
        interval: how old a password gets, in seconds.
    """

    def __init__(
        self, folder: Folder, environment: Mapping[str, str], ca_file: Path, interval: float
    ) -> None:
        self._folder = folder
        self._log = folder.service_log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rotator.cli", "serve"],
            env=_environment(folder.path, environment, ca_file, interval),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the demo, which ends the service when it is done with it.
            start_new_session=True,
        )
        self.api = ServiceClient(folder.path)
        self.events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._follower = threading.Thread(target=self._follow, name="events", daemon=True)
        self._follower.start()

    def answer(self, path: str) -> Any:
        """What the API has at a path; None while it does not answer.

        Raises:
            DemoError: the service has ended.
        """
        self.check()
        with contextlib.suppress(NotRunningError):
            return self.api.get(path)
        return None

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            DemoError: it has ended.
        """
        status = self._process.poll()
        if status is not None:
            raise DemoError(
                f"valkeeper serve ended by itself with status {status}", tail(self._folder.service_log)
            )

    def stop(self, proxy_pid: int | None) -> None:
        """End it and its proxy.

        Args:
            proxy_pid: of its proxy, which is in a session of its own and outlives a service that was killed.
        """
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._stop_proxy(proxy_pid)
        self._follower.join(1)
        self._log.close()

    def _stop_proxy(self, pid: int | None) -> None:
        deadline = time.monotonic() + _STOP_SECONDS
        number = signal.SIGTERM
        # Its lock says that it is still this proxy that has the number.
        while pid is not None and _is_held(self._folder.path / "control" / "proxy.lock"):
            if time.monotonic() > deadline:
                number = signal.SIGKILL
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            time.sleep(0.2)

    def _follow(self) -> None:
        while self._process.poll() is None:
            with contextlib.suppress(NotRunningError):
                for event in self.api.events():
                    self.events.put(event)
            time.sleep(0.02)


def _environment(
    runtime_dir: Path, sandbox: Mapping[str, str], ca_file: Path, interval: float
) -> dict[str, str]:
    """The variables of the service: nothing of the user's own AWS account or Valkeeper reaches it."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "VALKEEPER_"))}
    nothing = runtime_dir / "valkeeper.yaml"
    nothing.touch()
    return {
        **ours,
        **sandbox,
        "VALKEEPER_CONFIG": str(nothing),
        "VALKEEPER_PROXY__RUNTIME_DIR": str(runtime_dir),
        "VALKEEPER_PROXY__UPSTREAM__CA_FILE": str(ca_file),
        "VALKEEPER_ROTATION__INTERVAL": f"{interval:g}s",
        "VALKEEPER_ROTATION__JITTER": "1s",
        # Short, so that whoever tags a user in the sandbox sees it managed soon.
        "VALKEEPER_DISCOVERY__INTERVAL": "5s",
        "VALKEEPER_ADMIN__LISTEN": "127.0.0.1:0",
        "VALKEEPER_LOG__FORMAT": "console",
    }


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False
