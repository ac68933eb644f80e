"""The proxy that `valkeeper serve` starts beside itself: it outlives a rotator that is killed, and is found again."""

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import structlog

__all__ = ["Companion"]

_log = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0  # seconds
_MOST_PAUSE = 30.0  # seconds between starts of a proxy that keeps ending


class Companion:
    """Keeps one proxy running with this runtime folder, whoever started it.

    Args:
        runtime_dir: whose proxy it is.
        config_file: handed on, so that both read the same settings.
    """

    def __init__(self, runtime_dir: Path, config_file: Path | None) -> None:
        self._lock = runtime_dir / "control" / "proxy.lock"
        self._arguments = ["--config", str(config_file)] if config_file is not None else []
        self._started: int | None = None

    async def keep(self) -> None:
        """Start a proxy whenever there is none, until cancelled."""
        pause = _LOOK_EVERY
        while True:
            if self._runs():
                pause = _LOOK_EVERY
                await asyncio.sleep(_LOOK_EVERY)
                continue
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "rotator.cli", "proxy", *self._arguments),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # neither Ctrl-C nor the end of this process takes it along
            )
            self._started = process.pid
            _log.info("proxy_started", pid=process.pid)
            status = await process.wait()
            self._started = None
            _log.warning("proxy_ended", pid=process.pid, status=status)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _MOST_PAUSE)

    def stop(self, connected: Iterable[int]) -> None:
        """Ask the proxy to drain and end: both were started as one, and end as one.

        Args:
            connected: process ids of the proxies on the directory socket, by the kernel's word.
        """
        for pid in {*connected, *([self._started] if self._started is not None else [])}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _runs(self) -> bool:
        """Whether a proxy holds its lock."""
        return self._lock.exists() and not _can_lock(self._lock)


def _can_lock(path: Path) -> bool:
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
