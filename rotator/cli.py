"""The command line: reads arguments, calls what does the work, and chooses the exit code.

Exit codes: 0 all is well, 1 something failed (or only a part of it succeeded), 2 the command or the configuration can't
be meant, 3 no service is running.
"""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console

from discovery.errors import ConfigurationError
from proxy.errors import ProxyError
from rotator.config import Settings, load
from rotator.errors import NotFoundError, NotRunningError, RefusedError, RotatorError, UsageError
from rotator.tables import databases_table, rotations_table, sessions_table, status_lines, users_table

if TYPE_CHECKING:
    from rotator.client import ServiceClient

__all__ = ["app", "main"]

app = typer.Typer(
    name="valkeeper",
    help="Keeps ElastiCache and MemoryDB passwords fresh, and lets any Redis client connect without holding one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# Into a pipe nothing is folded: whoever reads it there counts on one line a row.
_out = Console(highlight=False, width=None if sys.stdout.isatty() else 250)
_err = Console(stderr=True, highlight=False)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Configuration file (else VALKEEPER_CONFIG, /etc/valkeeper/valkeeper.yaml)."
    ),
]
RuntimeDirOption = Annotated[
    Path | None, typer.Option("--runtime-dir", help="Where the sockets are (proxy.runtime_dir).")
]
LogLevelOption = Annotated[str | None, typer.Option("--log-level", help="debug, info, warning or error.")]
LogFormatOption = Annotated[str | None, typer.Option("--log-format", help="json or console.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def _settings(config: Path | None, **flags: Any) -> Settings:
    """The settings, with flags laid out like the file; None is a flag that was not given."""
    nested: dict[str, Any] = {}
    for name, value in flags.items():
        if value is not None:
            section, key = name.split("__")
            nested.setdefault(section, {})[key] = value
    return load(config, nested)


def _client(config: Path | None, runtime_dir: Path | None) -> "ServiceClient":
    from rotator.client import ServiceClient  # noqa: PLC0415  an HTTP client, which the services start faster without

    return ServiceClient(runtime_dir or _settings(config).proxy.runtime_dir)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


@app.command()
def serve(
    config: ConfigOption = None,
    runtime_dir: RuntimeDirOption = None,
    interval: Annotated[str | None, typer.Option(help="How old a password gets (rotation.interval).")] = None,
    listen: Annotated[
        str | None, typer.Option(help="Where /metrics and the probes are (admin.listen).")
    ] = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
    no_proxy: Annotated[bool, typer.Option("--no-proxy", help="Start no proxy beside the rotator.")] = False,
) -> None:
    """Discover, rotate, publish; with a proxy beside it."""
    from rotator.log import EventStream, configure  # noqa: PLC0415  boto3 stays out of the other commands
    from rotator.service import serve as run  # noqa: PLC0415

    settings = _settings(
        config,
        proxy__runtime_dir=runtime_dir,
        rotation__interval=interval,
        admin__listen=listen,
        log__level=log_level,
        log__format=log_format,
    )
    events = EventStream()
    configure(settings.log.level, settings.log.format, events=events)
    flags = {
        "--config": config,
        "--runtime-dir": runtime_dir,
        "--log-level": log_level,
        "--log-format": log_format,
    }
    given = [part for flag, value in flags.items() if value is not None for part in (flag, str(value))]
    run(settings, events, proxy_arguments=None if no_proxy else given)


@app.command()
def proxy(
    config: ConfigOption = None,
    runtime_dir: RuntimeDirOption = None,
    log_level: LogLevelOption = None,
    log_format: LogFormatOption = None,
    only_check: Annotated[
        bool,
        typer.Option(
            "--check", help="Only say whether it could start; exit code 2: the configuration is wrong."
        ),
    ] = False,
) -> None:
    """Serve clients alone; `valkeeper serve` publishes to it. SIGHUP: take up a new version and configuration."""
    from proxy.parent import run  # noqa: PLC0415  the other commands need none of it
    from proxy.reload import check  # noqa: PLC0415

    settings = _settings(config, proxy__runtime_dir=runtime_dir, log__level=log_level, log__format=log_format)
    if only_check:
        check(settings.proxy)
        _out.print("the configuration is right")
        return
    raise typer.Exit(run(settings.proxy, settings.log.level, settings.log.format, settings.access.roles))


@app.command()
def status(
    config: ConfigOption = None, runtime_dir: RuntimeDirOption = None, as_json: JsonOption = False
) -> None:
    """How the service does. Exit code 1 where it is not ready or rotations are overdue."""
    answer = _client(config, runtime_dir).get("/v1/status")
    if as_json:
        _print_json(answer)
    else:
        for line in status_lines(answer):
            _out.print(line, soft_wrap=True)
    raise typer.Exit(0 if answer["ready"] and not answer["overdue"] else 1)


@app.command()
def databases(
    config: ConfigOption = None, runtime_dir: RuntimeDirOption = None, as_json: JsonOption = False
) -> None:
    """The databases that clients can connect to."""
    answer = _client(config, runtime_dir).get("/v1/databases")
    _print_json(answer) if as_json else _out.print(databases_table(answer))


@app.command()
def users(
    config: ConfigOption = None, runtime_dir: RuntimeDirOption = None, as_json: JsonOption = False
) -> None:
    """The databases' users, and how each stands."""
    answer = _client(config, runtime_dir).get("/v1/users")
    _print_json(answer) if as_json else _out.print(users_table(answer))


@app.command()
def sessions(
    database: Annotated[str | None, typer.Option(help="Only those of this database.")] = None,
    user: Annotated[str | None, typer.Option(help="Only those of this database user.")] = None,
    config: ConfigOption = None,
    runtime_dir: RuntimeDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """The clients that are connected now, and as whom. Exit code 1 where that may not be all."""
    answer = _client(config, runtime_dir).get("/v1/sessions", database=database, user=user)
    _print_json(answer) if as_json else _out.print(sessions_table(answer["sessions"]))
    if not answer["proxies"]:
        _warn("no proxy is connected to the service, so no sessions are known")
    if answer["silent"]:
        _warn(f"{answer['silent']} of the proxy's workers did not answer in time; their sessions are missing")
    raise typer.Exit(0 if answer["proxies"] and not answer["silent"] else 1)


@app.command()
def kill(
    names: Annotated[
        list[str], typer.Argument(metavar="SESSION...", help="As `valkeeper sessions` shows them.")
    ],
    reason: Annotated[str | None, typer.Option(help="What the client is told.")] = None,
    config: ConfigOption = None,
    runtime_dir: RuntimeDirOption = None,
) -> None:
    """End clients' sessions: each gets its outstanding replies, then an error. Exit code 1 where one was not there."""
    client = _client(config, runtime_dir)
    missing = 0
    for name in names:
        try:
            client.delete(f"/v1/sessions/{quote(name, safe='')}", reason=reason)
        except NotFoundError as error:
            missing += 1
            _warn(str(error))
        else:
            _out.print(f"ended session {name}", soft_wrap=True, markup=False)
    raise typer.Exit(1 if missing else 0)


@app.command()
def rotate(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[USER]...", help="Ids or names of users.")
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Every managed user.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until the new passwords are in use.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.", min=1, max=3600)] = 300,
    retire: Annotated[
        bool, typer.Option("--retire", help="Drop the old password at once: it leaked.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Take over an AWSPENDING version that is not Valkeeper's.")
    ] = False,
    config: ConfigOption = None,
    runtime_dir: RuntimeDirOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give users new passwords now. Exit code 1 where some did not get one."""
    if bool(names) == everybody:
        raise UsageError("name users to rotate, or say --all")
    client = _client(config, runtime_dir)
    options = {"retire": retire, "force": force}
    if not wait:
        asked = client.post("/v1/rotations", {"users": names or [], "all": everybody, **options})
        if as_json:
            _print_json(asked)
        else:
            _out.print(f"asked for {len(asked)} rotations; `valkeeper users` shows how they go")
        return
    results = _rotate_and_wait(client, names or [], everybody, timeout, options, quiet=as_json)
    _print_json(results) if as_json else _out.print(rotations_table(results))
    raise typer.Exit(0 if all(_succeeded(one) for one in results) else 1)


def _succeeded(rotation: dict[str, Any]) -> bool:
    return rotation["result"] in {"rotated", "adopted", "followed", "retired"}


def _rotate_and_wait(
    client: "ServiceClient",
    names: list[str],
    everybody: bool,
    timeout: float,
    options: dict[str, bool],
    *,
    quiet: bool,
) -> list[dict[str, Any]]:
    """Ask for all at once, and follow each to its end."""
    from rich.progress import (  # noqa: PLC0415  only here
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    asked = client.post("/v1/rotations", {"users": names, "all": everybody, **options})
    deadline = time.monotonic() + timeout
    columns = (TextColumn("rotating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=_err, transient=True, disable=quiet or not _err.is_terminal) as progress:
        results = []
        for one in progress.track(asked, description="rotating"):
            rotation = one
            while rotation["finished_at"] is None and (left := deadline - time.monotonic()) > 0:
                rotation = client.get(f"/v1/rotations/{one['id']}?wait={min(left, 5):.3f}")
            if rotation["finished_at"] is None:
                rotation = {**rotation, "reason": f"not finished within {timeout:g} s; it goes on"}
            results.append(rotation)
    return results


def main() -> None:
    """The console script."""
    try:
        app()
    except (UsageError, RefusedError, ConfigurationError) as error:
        _fail(str(error), 2)
    except NotRunningError as error:
        _fail(str(error), 3)
    except (RotatorError, ProxyError) as error:
        _fail(str(error), 1)


def _fail(text: str, code: int) -> None:
    for line in text.splitlines():
        _warn(line)
    sys.exit(code)


def _warn(line: str) -> None:
    _err.print(f"valkeeper: {line}", soft_wrap=True, markup=False)


if __name__ == "__main__":
    main()
