"""The sandbox from Python: a real process with an account of its own, for a test, a demo or a benchmark."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.sandbox.account import Account
from deploy.sandbox.controls import NodeInfo, SandboxError, SandboxFault

__all__ = ["NodeInfo", "SandboxError", "SandboxFault", "SandboxProcess"]

_REPOSITORY = Path(__file__).resolve().parents[2]
_READY_SECONDS = 60.0


class SandboxProcess(Account):
    """``python -m deploy.sandbox`` as a child process, ready when the constructor returns.

    Args:
        empty: Start with nothing in the account; otherwise with the database `orders` and its users.
        modify_delay: Seconds for which a changed user is `modifying`.
        port: Port on 127.0.0.1; 0 for a free one.

    Raises:
        SandboxError: it did not start.
    """

    def __init__(self, *, empty: bool = False, modify_delay: float = 0.3, port: int = 0) -> None:
        # Ours, so that it is removed even when the sandbox is killed.
        self._directory = tempfile.TemporaryDirectory(prefix="valkeeper-sandbox-")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "deploy.sandbox", "--json", "--until-eof"),
                *(
                    "--port",
                    str(port),
                    "--modify-delay",
                    str(modify_delay),
                    "--directory",
                    self._directory.name,
                ),
                *(["--empty"] if empty else []),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_REPOSITORY,
            text=True,
            # Ctrl-C is for whoever started us; they stop the sandbox when they are done with it.
            start_new_session=True,
        )
        try:
            super().__init__(json.loads(self._first_line()))
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The sandbox's process."""
        return self._process.pid

    def stop(self) -> None:
        """End the sandbox and its servers, cleanly if it can."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._collect()

    def kill(self) -> None:
        """End the sandbox as a crash would; its servers go with it."""
        self._process.kill()
        self._collect()

    def _first_line(self) -> str:
        output = self._process.stdout
        if output is None:
            raise AssertionError
        os.set_blocking(output.fileno(), False)
        deadline, line = time.monotonic() + _READY_SECONDS, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([output], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(output.fileno(), 65536) if ready else b""
            if not chunk:
                raise SandboxError(
                    "the sandbox ended, or said nothing, before it was ready: see its error output"
                )
            line += chunk
        return line.decode()

    def _collect(self) -> None:
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._directory.cleanup()
