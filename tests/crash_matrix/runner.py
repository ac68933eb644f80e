"""Runs one cell after another: the real service, killed for real, with clients that connect all the time."""

import contextlib
from dataclasses import dataclass

import pytest

from deploy.sandbox.client import SandboxProcess
from tests.crash_matrix.cells import CALLS, Cell, Fate, Scenario, Successor
from tests.system.harness import Account, Hammer, Valkeeper, eventually

__all__ = ["Matrix", "Verdict"]

_MORE_THAN_THE_INTERVAL = 2 * 3600.0  # seconds; the harness rotates hourly
_DATABASES = ("orders", "orders-reader")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a cell ended. `reached` is False where the run was over before so many calls of the operation."""

    cell: Cell
    reached: bool
    problems: tuple[str, ...] = ()
    clients: int = 0  # that connected while it ran


class Matrix:
    """A sandbox, and a service that is killed again and again."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        self._sandbox = self._stack.enter_context(SandboxProcess(modify_delay=0.05))
        self._account = Account(self._sandbox)
        self._valkeeper = self._stack.enter_context(Valkeeper(self._account.settings()))
        self._valkeeper.wait_for_clients("app", "batch")
        return self

    def __exit__(self, *failure):
        self._stack.close()

    def run(self, cell: Cell) -> Verdict:
        """Run one cell: from a service at rest to a service at rest."""
        try:
            return self._rotation(cell) if cell.scenario is Scenario.ROTATION else self._adoption(cell)
        except pytest.fail.Exception as failure:  # what was waited for did not come
            return Verdict(cell, reached=True, problems=(str(failure),))

    def _fault(self, cell, user):
        return self._sandbox.fault(
            cell.service,
            cell.operation,
            "hold",
            when="after" if cell.fate is Fate.BEFORE else "before",
            drop=cell.fate is Fate.NEVER,
            skip=cell.occurrence - 1,
            match=CALLS[cell.operation].naming.format(user),
        )

    def _rotation(self, cell):
        valkeeper, account = self._valkeeper, self._account
        user, _ = account.new_user()
        valkeeper.discover()
        valkeeper.wait_for_user(user, state="fresh")
        valkeeper.wait_for_clients(user)
        before, versions = account.labels(user)["AWSCURRENT"], account.versions(user)
        with Hammer(valkeeper, [user], _DATABASES) as hammer:
            hammer.wait_for()
            with self._fault(cell, user) as fault:
                self._sandbox.age_secret(account.secret_id(user), _MORE_THAN_THE_INTERVAL)
                valkeeper.post("/v1/rotations", {"users": [user]})
                # Asked of the service: a question to AWS could be the very call that is held.
                reached = self._await_kill(fault, lambda: valkeeper.user(user)["version"] != before)
            if reached:
                staged = account.pending(user, before)
                with self._going_on(cell) as successor:
                    eventually(
                        lambda: account.labels(user)["AWSCURRENT"] != before, what=f"{cell}: a new version"
                    )
                    successor.wait_for_user(user, state="fresh", version=account.labels(user)["AWSCURRENT"])
                    hammer.wait_for()
        if not reached:
            return Verdict(cell, reached=False)
        labels, now = account.labels(user), account.versions(user)
        problems = [*hammer.failures]
        if now != [*versions, labels["AWSCURRENT"]]:
            problems.append(f"{len(now) - len(versions)} new versions")
        if labels["AWSPREVIOUS"] != before:
            problems.append("AWSPREVIOUS is not the version before")
        if staged is not None and labels["AWSCURRENT"] != staged:
            problems.append("the staged version was not the one that was promoted")
        both = [account.value(user, labels[label])["password"] for label in ("AWSPREVIOUS", "AWSCURRENT")]
        if account.passwords(user) != both:
            problems.append("the user's passwords are not those of AWSPREVIOUS and AWSCURRENT")
        self._await_logins(user)
        return Verdict(cell, True, tuple(problems), hammer.successes)

    def _adoption(self, cell):
        valkeeper, account = self._valkeeper, self._account
        user = f"adopted-{cell.operation.lower()}-{cell.occurrence}-{cell.fate.name}-{cell.successor.name}".lower()
        with Hammer(valkeeper, ["app"], _DATABASES) as hammer:
            with self._fault(cell, user) as fault:
                account.new_user(user_id=user)
                valkeeper.discover()
                reached = self._await_kill(
                    fault, lambda: (valkeeper.user(user) or {}).get("state") == "fresh"
                )
            if reached:
                with self._going_on(cell) as successor:
                    successor.wait_for_user(user, state="fresh")
        if not reached:
            return Verdict(cell, reached=False)
        problems = [*hammer.failures]
        if (number := len(account.versions(user))) != 2:
            problems.append(f"{number} versions, where the seed and the first password are two")
        if account.passwords(user) != [account.password(user)]:
            problems.append("the user's passwords are not AWSCURRENT's alone")
        self._await_logins(user)
        return Verdict(cell, True, tuple(problems), hammer.successes)

    def _await_kill(self, fault, is_over):
        """Kill the rotator as soon as the call is held; False: the run was over without it."""
        eventually(lambda: fault.hit or is_over(), what="the call, or the end of the run")
        if not fault.hit:
            return False
        self._valkeeper.kill_rotator()
        return True

    @contextlib.contextmanager
    def _going_on(self, cell):
        """Whoever goes on where the killed rotator stopped; afterwards the first instance runs again."""
        if cell.successor is Successor.SAME:
            yield self._valkeeper.start()
            return
        with Valkeeper(self._account.settings()) as other:
            yield other
        self._valkeeper.start()

    def _await_logins(self, user):
        self._valkeeper.wait_for_user(user, state="fresh")
        for database in _DATABASES:
            self._valkeeper.wait_for_clients(user, database=database)
