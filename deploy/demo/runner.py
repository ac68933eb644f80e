"""Runs the demo: starts everything, follows it, ends everything, and says how it went."""

import contextlib
import queue
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from rich.console import Console

from deploy.demo.account import Ageing, open_sandbox, read_unmanaged
from deploy.demo.client import KeepsConnecting
from deploy.demo.display import display_for
from deploy.demo.errors import DemoError
from deploy.demo.facts import facts
from deploy.demo.service import Folder, Service
from deploy.demo.state import State, targets
from deploy.demo.verdict import Check, judge, shortest_duration
from deploy.demo.view import summary
from deploy.sandbox.client import SandboxProcess

__all__ = ["Demo"]

_READY_SECONDS = 60.0
_ASK_EVERY = 0.5  # seconds
_VERDICTS = {
    True: ("The demo passed.", "bold green"),
    False: ("The demo FAILED.", "bold red"),
    None: ("The demo was too short to tell.", "bold yellow"),
}
_INTERRUPTED = 130  # as a shell has it: 128 + SIGINT


class Demo:
    """One demo.

    Args:
        console: where it is shown.
        started_at: of the command, in seconds since the epoch.
        interval: how old a password gets, in seconds.
        duration: seconds from readiness; None: until Ctrl-C.
    """

    def __init__(
        self, console: Console, *, started_at: float, interval: float, duration: float | None
    ) -> None:
        self._console = console
        self._state = State(started_at=started_at, interval=interval, duration=duration)
        self._client = KeepsConnecting()

    def run(self) -> int:
        """Run it whole, and return the exit code. Nothing is left but, after a failure, the logs."""
        self._warn_if_too_short()
        folder, code = Folder(), 1
        passed: bool | None = False
        try:
            with _signals_interrupt(), open_sandbox(folder.sandbox_log, self._busy) as sandbox:
                passed = self._with_sandbox(sandbox, folder)
                code = 0 if passed else 1
        except DemoError as error:
            self._complain(error)
        except KeyboardInterrupt:
            self._say("Ended before anything was to be seen.")
            passed, code = None, _INTERRUPTED
        finally:
            logs = folder.keep_logs() if passed is False else folder.remove()
        if logs:
            self._say(f"The logs are kept: {' and '.join(map(str, logs))}")
        return code

    def _with_sandbox(self, sandbox: SandboxProcess, folder: Folder) -> bool | None:
        before = read_unmanaged(sandbox)
        asked = max((one["sequence"] for one in sandbox.requests()), default=0)
        error: DemoError | None = None
        service = Service(folder, sandbox.environment(), sandbox.ca_file, self._state.interval)
        try:
            self._run(service, sandbox, folder)
        except KeyboardInterrupt:
            if self._state.ready_at is None:
                raise
        except DemoError as failure:
            if self._state.ready_at is None:
                raise
            error = failure
        finally:
            ended_at = self._now()
            with self._busy("Ending the service and its proxy …"):
                self._client.stop()
                service.stop(self._state.proxy_pid)
        self._take_events(service, wait=0)
        if error is not None:
            self._complain(error)
        requests = sandbox.requests(asked)
        lasted = self._state.since_ready(ended_at)
        checks = judge(
            self._state,
            self._client.counts,
            before,
            read_unmanaged(sandbox),
            lasted=lasted,
            error=str(error or ""),
        )
        return self._sum_up(checks, requests)

    def _run(self, service: Service, sandbox: SandboxProcess, folder: Folder) -> None:
        with self._busy("Starting valkeeper serve …"):
            self._await(lambda: service.answer("/v1/status") is not None, "answer on its control socket")
        self._client.start()
        ageing = Ageing(sandbox)
        ask_at = 0.0
        with display_for(self._console, _hints(folder)) as display:
            while not self._is_over():
                self._take_events(service, wait=0.1)
                if self._now() >= ask_at:
                    ask_at = self._now() + _ASK_EVERY
                    self._ask(service)
                    ageing.look(self._state)
                display.show(self._state, self._client.counts, self._now())

    def _ask(self, service: Service) -> None:
        status, databases, users = (
            service.answer(f"/v1/{what}") for what in ("status", "databases", "users")
        )
        if None in (status, databases, users):
            return
        if self._state.ready_at is None and status["ready"]:
            self._state = replace(self._state, ready_at=self._now())
        self._state = self._state.take_answers(databases, users, self._now())
        self._client.set_targets(targets(self._state, self._now()))

    def _take_events(self, service: Service, wait: float) -> None:
        """Fold in what has happened, waiting for the first event for so many seconds at most."""
        with contextlib.suppress(queue.Empty):
            self._state = self._state.take_event(service.events.get(timeout=wait, block=wait > 0))
            while True:
                self._state = self._state.take_event(service.events.get_nowait())

    def _is_over(self) -> bool:
        state, now = self._state, self._now()
        if state.ready_at is None:
            if now > _READY_SECONDS:
                raise DemoError(f"valkeeper serve was not ready {_READY_SECONDS:g} s after the start")
            return False
        return state.duration is not None and state.since_ready(now) >= state.duration

    def _await(self, question: Any, what: str) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not question():
            if time.monotonic() > deadline:
                raise DemoError(f"valkeeper serve did not {what} within {_READY_SECONDS:g} s")
            time.sleep(0.05)

    def _sum_up(self, checks: Sequence[Check], requests: Sequence[dict[str, Any]]) -> bool | None:
        """Show how it went, and return whether it passed; None: nothing failed, but it was too short to tell."""
        results = {check.passed for check in checks}
        passed = False if False in results else None if None in results else True
        self._console.print()
        self._console.print(summary(checks, facts(self._state, requests)))
        self._console.print()
        verdict, style = _VERDICTS[passed]
        self._console.print(verdict, style=style)
        return passed

    # Saying.

    def _now(self) -> float:
        """Seconds since the start of the command."""
        return time.time() - self._state.started_at

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)

    def _complain(self, error: DemoError) -> None:
        self._console.print(f"demo: {error}", style="red", soft_wrap=True, markup=False, highlight=False)
        if error.log:
            self._say(f"The last lines of its log:\n{error.log}")

    def _warn_if_too_short(self) -> None:
        duration, least = self._state.duration, shortest_duration(self._state.interval)
        if duration is not None and duration < least:
            self._console.print(
                f"{duration:g} s is too short to pass: with a rotation every {self._state.interval:g} s, it takes"
                f" {least:g} s until every user has been adopted and then rotated. Running all the same.",
                style="yellow",
                soft_wrap=True,
                highlight=False,
            )

    @contextmanager
    def _busy(self, text: str) -> Iterator[None]:
        """Say what is under way, and, where somebody waits for it at a screen, that it is."""
        if not self._console.is_terminal:
            self._say(text)
            yield
            return
        began = time.monotonic()
        with self._console.status(text, spinner_style="cyan"):
            yield
        self._console.print(f"[green]✓[/] {text.removesuffix(' …')} [dim]{time.monotonic() - began:.1f} s[/]")


def _hints(folder: Folder) -> tuple[tuple[str, str], ...]:
    """What to try by hand: with names from the sandbox's own holdings."""
    return (
        ("managed", f"redis-cli -s {folder.path}/sessions.sock --user web -a x"),
        ("IAM", f"redis-cli -s {folder.path}/orders.sock --user reporting -a x"),
        ("users", f".venv/bin/valkeeper users --runtime-dir {folder.path}"),
    )


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let the first of the signals that ask for an end interrupt, and nothing what follows: the end is bounded."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
