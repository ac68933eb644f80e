"""How the proxy replaces itself by its own command line: with the program and the configuration that are there now.

The process id stays, and with it the workers, the place in systemd's books, and all that is in the `Handover`.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator

from proxy.certificate import Certificate
from proxy.directory import Directory
from proxy.handover import VARIABLE, Handover, receive, sealed
from proxy.settings import ProxySettings
from proxy.sockets import wanted

__all__ = ["check", "fault", "let_signals_in", "replace", "signals_kept_out"]

_CHECK_SECONDS = 60.0
_MOST_WORDS = 4000  # characters of what a check says that a log line quotes
_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


def check(settings: ProxySettings) -> None:
    """What `--check` does beyond reading the configuration.

    Raises:
        HandoverError: the proxy that asks can't be replaced by this program with these settings.
        ListenError: a listener's certificate can't be used.
        ImportError: the program is not whole.
    """
    import proxy.worker  # noqa: F401, PLC0415  only to see whether it is there

    for address in wanted(settings, Directory()):
        if address.certificate is not None:
            Certificate(address.certificate).check()
    receive(settings)


async def fault(handover: Handover) -> str | None:
    """Why the program and the configuration that are there now would not serve, by their own word; None: they would."""
    try:
        with sealed(handover) as descriptor:
            process = await asyncio.create_subprocess_exec(
                *_command(),
                "--check",
                env={**os.environ, VARIABLE: str(descriptor)},
                pass_fds=(descriptor,),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
    except OSError as error:
        return f"the check can't be started: {error.strerror or error}"
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            said, _ = await process.communicate()
    except TimeoutError:
        return f"the check did not end within {_CHECK_SECONDS:g} s"
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode == 0:
        return None
    return (
        said.decode(errors="replace").strip()[-_MOST_WORDS:] or f"the check ended with {process.returncode}"
    )


def replace(handover: Handover) -> str:
    """Become the new program. Comes back only where that is impossible, with the reason, and nothing has changed.

    Call it while signals are kept out: one that comes before the new program handles them would end it.
    """
    try:
        with sealed(handover) as descriptor:
            os.set_inheritable(descriptor, True)
            handover.set_inheritable(True)
            os.execve(sys.executable, _command(), {**os.environ, VARIABLE: str(descriptor)})  # noqa: S606  our own
    except OSError as error:
        handover.set_inheritable(False)
        return error.strerror or str(error)


@contextlib.contextmanager
def signals_kept_out() -> Iterator[None]:
    """Keep signals waiting, through `replace` and until the new program calls `let_signals_in`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        let_signals_in()


def let_signals_in() -> None:
    """Take the signals that waited."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _command() -> list[str]:
    """This process's own command line."""
    return [sys.executable, *sys.orig_argv[1:]]
