"""The systemd units say what the program knows."""

import shlex
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import typer

from proxy.settings import ProxySettings, socket_path
from rotator.cli import app, main

FOLDER = Path(__file__).parent.parent / "deploy" / "systemd"
UNITS = sorted(path.name for path in FOLDER.iterdir())
PROGRAM = "/opt/valkeeper/bin/valkeeper"


def values(unit, key):
    """Everything that a unit sets a key to."""
    lines = (FOLDER / unit).read_text(encoding="utf-8").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit.endswith(".service")])
def test_its_commands_are_commands_of_the_program(unit):
    found = [shlex.split(line) for key in ("ExecStart", "ExecReload") for line in values(unit, key)]
    ours = [words for words in found if words[0] == PROGRAM]
    assert ours
    for _, name, *arguments in ours:
        typer.main.get_command(app).commands[name].make_context(name, arguments)
    assert [words for words in found if words[0] != PROGRAM] in ([], [["/bin/kill", "-HUP", "$MAINPID"]])


def test_the_rotator_starts_no_proxy_beside_the_unit_of_the_proxy():
    assert values("valkeeper.service", "ExecStart") == [f"{PROGRAM} serve --no-proxy"]
    assert "valkeeper-proxy.service" in values("valkeeper.service", "Wants")[0].split()


def test_the_folder_is_the_default_and_stays_when_one_of_the_two_stops():
    for unit in ("valkeeper.service", "valkeeper-proxy.service"):
        assert Path("/run", *values(unit, "RuntimeDirectory")) == ProxySettings().runtime_dir
        assert values(unit, "RuntimeDirectoryPreserve") == ["yes"]


def test_a_proxy_gets_the_time_to_drain():
    [seconds] = values("valkeeper-proxy.service", "TimeoutStopSec")
    assert ProxySettings().drain_timeout + timedelta(seconds=10) < timedelta(
        seconds=int(seconds.removesuffix("s"))
    )


def test_the_example_of_a_socket_is_one_that_the_default_configuration_asks_for():
    [listener], runtime_dir = ProxySettings().listeners, ProxySettings().runtime_dir
    [path] = values("valkeeper-proxy.socket", "ListenStream")
    assert Path(path) == socket_path(listener.unix, runtime_dir, "orders")


@pytest.mark.parametrize(
    ("workers", "status", "words"),
    [
        ("2", 0, "the configuration is right\n"),
        ("none", 2, "valkeeper: proxy.workers: 'none': Input should be a valid integer"),
    ],
)
def test_the_check_before_a_reload_says_what_is_wrong_and_starts_nothing(
    workers, status, words, monkeypatch, capsys
):
    monkeypatch.setenv("VALKEEPER_PROXY__WORKERS", workers)
    monkeypatch.setattr(sys, "argv", ["valkeeper", "proxy", "--check"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status
    assert "".join(capsys.readouterr()).startswith(words)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd to ask")
def test_systemd_understands_them(tmp_path):
    program = str(Path(sys.executable).with_name("valkeeper"))
    for unit in UNITS:
        text = (FOLDER / unit).read_text(encoding="utf-8")
        (tmp_path / unit).write_text(text.replace(PROGRAM, program), encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit) for unit in UNITS)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
