"""`make demo`: the main job against an AWS account on localhost, with a client that never holds a password."""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from deploy.sandbox.client import SandboxProcess
from rotator.client import NotRunningError, ServiceClient
from rotator.tables import users_table

_UNTAGGED = "legacy"
_SHOWN_STEPS = 14


@dataclass
class Seen:
    """What has happened so far; written by three threads, each its own fields."""

    began: float = field(default_factory=time.monotonic)
    first_password: float | None = None  # seconds from the start of the demo
    steps: list[str] = field(default_factory=list)
    rotated: Counter[str] = field(default_factory=Counter)  # user id → rotations after its adoption
    good: int = 0
    bad: int = 0
    last_error: str = ""
    ended: threading.Event = field(default_factory=threading.Event)


def verdict(seen: Seen, managed: list[str], *, untouched: bool) -> list[str]:
    """What speaks against the run; nothing: it passed."""
    wrong = [f"user {one} was not rotated after its adoption" for one in managed if not seen.rotated[one]]
    if not managed:
        wrong.append("no user was managed")
    if seen.bad or not seen.good:
        wrong.append(f"{seen.bad} client commands failed, {seen.good} succeeded: {seen.last_error}")
    if not untouched:
        wrong.append(f"the untagged user {_UNTAGGED} was touched")
    return wrong


def follow(service: ServiceClient, seen: Seen) -> None:
    """Note every step as it happens."""
    try:
        for event in service.events():
            name, user = event.get("event"), str(event.get("user", "")).rpartition("/")[2]
            if name == "rotation_step":
                seen.steps.append(f"{event['timestamp'][11:19]}  {user:<8} {event['step']}")
            elif name == "rotation":
                result = event["result"]
                seen.steps.append(
                    f"{event['timestamp'][11:19]}  {user:<8} {result} in {event['seconds']:.1f} s"
                )
                seen.rotated[user] += result == "rotated"
                if result in {"adopted", "rotated"} and seen.first_password is None:
                    seen.first_password = time.monotonic() - seen.began
    except NotRunningError:
        return


def connect_for_ever(service: ServiceClient, seen: Seen) -> None:
    """Open one connection after the other, write and read, and count; begins once users have passwords."""
    number = 0
    while not seen.ended.is_set():
        users = [
            one
            for one in service.get("/v1/users")
            if one["care"] == "managed" and one["password_age_seconds"]
        ]
        sockets = {one["name"]: one["socket"] for one in service.get("/v1/databases")}
        for one in users:
            for database in one["databases"]:
                number += 1
                _try(sockets[database], one["name"], number, seen, write="reader" not in database)
        seen.ended.wait(0.05)


def _try(socket: str, user: str, number: int, seen: Seen, *, write: bool) -> None:
    client = redis.Redis(unix_socket_path=socket, username=user, password="not the password")  # noqa: S106  that it is not is the point
    try:
        if write:
            client.set("demo", number)
        client.get("demo")
        seen.good += 1
    except redis.RedisError as error:
        seen.bad += 1
        seen.last_error = f"{user}: {error}"
    finally:
        client.close()


def picture(service: ServiceClient, seen: Seen, hand: str) -> Group:
    """The screen."""
    colour = "red" if seen.bad else "green"
    databases = ", ".join(f"{one['name']} ({one['endpoint']})" for one in service.get("/v1/databases"))
    return Group(
        Text("Valkeeper demo: Ctrl-C ends it", style="bold"),
        Text(f"databases  {databases}"),
        Text(""),
        users_table(service.get("/v1/users")),
        Text(""),
        Text(
            f"client without a password: {seen.good} succeeded, {seen.bad} failed {seen.last_error}",
            style=colour,
        ),
        Text(f"try it     {hand}"),
        Text(""),
        *(Text(step) for step in seen.steps[-_SHOWN_STEPS:]),
    )


def watch(service: ServiceClient, seen: Seen, hand: str, duration: float | None) -> None:
    """Show what happens until the time is over or Ctrl-C; as lines where nobody looks at a screen."""
    console, until = Console(), time.monotonic() + duration if duration else float("inf")
    shown, counted = 0, time.monotonic()
    live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
    if live is not None:
        live.start()
    else:
        print(f"try it: {hand}", flush=True)
    try:
        while time.monotonic() < until:
            if live is not None:
                live.update(picture(service, seen, hand))
            else:
                for step in seen.steps[shown:]:
                    print(step, flush=True)
                shown = len(seen.steps)
                if time.monotonic() - counted > 5:
                    counted = time.monotonic()
                    print(f"client: {seen.good} succeeded, {seen.bad} failed {seen.last_error}", flush=True)
            time.sleep(0.25)
    except KeyboardInterrupt:
        pass
    finally:
        if live is not None:
            live.stop()


def ready(process: subprocess.Popen[bytes], service: ServiceClient, log: Path) -> None:
    """Wait until the service is ready; end the demo with its last words if it ends first."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if service.get("/v1/status")["ready"]:
                return
        except NotRunningError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"valkeeper serve did not become ready; its last words:\n{log.read_text()[-2000:]}")


def run(duration: float | None, folder: Path) -> int:
    """The whole demo; the exit code."""
    seen = Seen()
    print("Starting the AWS account on localhost, with Redis servers behind it …", flush=True)
    with SandboxProcess() as sandbox:
        before = sandbox.passwords(_UNTAGGED)
        runtime, log = folder / "run", folder / "serve.log"
        environment: dict[str, Any] = {
            **os.environ,
            **sandbox.environment(),
            "VALKEEPER_PROXY__RUNTIME_DIR": str(runtime),
            "VALKEEPER_PROXY__UPSTREAM__CA_FILE": str(sandbox.ca_file),
            "VALKEEPER_ROTATION__INTERVAL": "15s",
            "VALKEEPER_ROTATION__JITTER": "1s",
            "VALKEEPER_DISCOVERY__INTERVAL": "5s",
            "VALKEEPER_ADMIN__LISTEN": "127.0.0.1:0",
        }
        print("Starting valkeeper serve …", flush=True)
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "rotator.cli", "serve"],
                env=environment,
                stderr=out,
                stdout=out,
                start_new_session=True,  # Ctrl-C is the demo's, which ends the service in order
            )
        service = ServiceClient(runtime)
        threads = [
            threading.Thread(target=follow, args=(ServiceClient(runtime), seen), daemon=True),
            threading.Thread(target=connect_for_ever, args=(ServiceClient(runtime), seen), daemon=True),
        ]
        try:
            ready(process, service, log)
            for thread in threads:
                thread.start()
            hand = f"redis-cli -s {runtime}/orders.sock --user app --pass x --no-auth-warning"
            watch(service, seen, hand, duration)
            seen.ended.set()
            threads[1].join(10)
            managed = [one["id"] for one in service.get("/v1/users") if one["care"] == "managed"]
            secrets = sandbox.boto3("secretsmanager").list_secrets()["SecretList"]
            named = any(one["Name"].endswith(f"/user/{_UNTAGGED}") for one in secrets)
            untouched = sandbox.passwords(_UNTAGGED) == before and not named
            counts = sandbox.request_counts()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    return summary(seen, managed, counts, untouched=untouched)


def summary(seen: Seen, managed: list[str], counts: dict[str, int], *, untouched: bool) -> int:
    """Say how it went; the exit code."""
    wrong = verdict(seen, managed, untouched=untouched)
    first = f"{seen.first_password:.1f} s after the start" if seen.first_password is not None else "never"
    print(f"\nfirst rotated password   {first}")
    for one in managed:
        print(f"rotations of {one:<11} {seen.rotated[one]} after its adoption")
    print(f"client commands          {seen.good} succeeded, {seen.bad} failed")
    print(f"untagged user            {'never touched' if untouched else 'TOUCHED'}")
    print(
        f"AWS calls                {', '.join(f'{name} {number}' for name, number in sorted(counts.items()))}"
    )
    for one in wrong:
        print(f"FAILED: {one}")
    print("demo failed" if wrong else "demo passed")
    return 1 if wrong else 0


def main() -> int:
    """Read the arguments, and leave nothing behind."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument(
        "--duration", type=float, metavar="SECONDS", help="end by itself, counted from readiness"
    )
    duration = parser.parse_args().duration
    with tempfile.TemporaryDirectory(prefix="valkeeper-demo-") as folder:
        return run(duration, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
