"""The proxy that `valkeeper serve` starts beside itself: it outlives a rotator that is killed, and is found again."""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import structlog

__all__ = ["Companion"]

_log = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0  # seconds
_ENDS_WITHIN = 0.1  # seconds between looks at a proxy that was told to end
_MOST_PAUSE = 30.0  # seconds between starts of a proxy that keeps ending


class Companion:
    """Keeps one proxy running with this runtime folder, whoever started it.

    Args:
        runtime_dir: whose proxy it is.
        arguments: of `valkeeper proxy`, so that both read the same settings.
    """

    def __init__(self, runtime_dir: Path, arguments: Sequence[str]) -> None:
        self._lock = runtime_dir / "control" / "proxy.lock"
        self._arguments = arguments
        # Not asyncio's: it would kill the proxy when this process's loop closes, in the middle of draining.
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False

    async def keep(self) -> None:
        """Start a proxy whenever there is none, until cancelled."""
        pause = _LOOK_EVERY
        while not self._stopping:
            if self._has_ended():
                await asyncio.sleep(pause)
                pause = min(pause * 2, _MOST_PAUSE)
            if self._process is None and not self._stopping and not self._is_held():
                self._start()
            await asyncio.sleep(_LOOK_EVERY)
            if self._is_held():
                pause = _LOOK_EVERY

    def stop(self, connected: Iterable[int]) -> None:
        """Ask the proxy to drain and end: both were started as one, and end as one.

        Args:
            connected: process ids of the proxies on the directory socket, by the kernel's word.
        """
        self._stopping = True
        for pid in {*connected, *([self._process.pid] if self._process is not None else [])}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def reload(self, connected: Iterable[int]) -> None:
        """Have the proxy take up a new version and configuration; no client notices.

        Args:
            connected: process ids of the proxies on the directory socket. One that is not there yet starts anew anyway.
        """
        for pid in connected:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)

    async def stopped(self, within: float) -> None:
        """Wait until the proxy has ended, whoever started it, for so many seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                # Another rotator's child can't be waited for; its lock tells when it has gone.
                while self._is_held() or not self._is_reaped():  # noqa: ASYNC110
                    await asyncio.sleep(_ENDS_WITHIN)

    def _is_reaped(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _start(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-m", "rotator.cli", "proxy", *self._arguments],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # neither Ctrl-C nor the end of this process takes it along
        )
        _log.info("proxy_started", pid=self._process.pid)

    def _has_ended(self) -> bool:
        if self._process is None or self._process.poll() is None:
            return False
        _log.warning("proxy_ended", pid=self._process.pid, status=self._process.returncode)
        self._process = None
        return True

    def _is_held(self) -> bool:
        """Whether a proxy holds its lock."""
        if not self._lock.exists():
            return False
        with self._lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False
