"""The demo as it is run: real processes, through a pipe."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).parents[2]

# Real processes start, and on a loaded machine they take their time.
pytestmark = pytest.mark.timeout(120)


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.demo", *arguments],
        cwd=_REPOSITORY,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def folder_of(said):
    return re.search(r"/tmp/vk-demo-\w+", said)[0]


def processes_with(text):
    """Command lines and environments in which a text occurs, of processes that live."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in told:
            found.append((process / "cmdline").read_text())
    return found


def test_it_runs_passes_and_leaves_nothing():
    demo = start("--interval", "5s", "--duration", "12s")
    said, _ = demo.communicate(timeout=110)
    assert demo.returncode == 0, said
    assert "The demo passed." in said
    for user in ("app", "batch", "web"):
        assert re.search(rf"s  {user} +rotated ", said)
    for user in ("reporting", "session-audit"):
        assert re.search(rf"s  {user} +signed ", said)
    said = " ".join(said.split())  # the summary is wrapped
    assert re.search(
        r"✓ ElastiCache 2 managed users, [1-9]\d* rotations \(app .*, batch .*\);"
        r" 1 IAM user, [1-9][\d,]* commands with a token \(reporting [1-9]",
        said,
    )
    assert re.search(
        r"✓ MemoryDB 1 managed user, [1-9]\d* rotations? \(web .*\);"
        r" 1 IAM user, [1-9][\d,]* commands with a token \(session-audit [1-9]",
        said,
    )
    assert re.search(r"✓ client commands [1-9][\d,]* on [1-9][\d,]* connections", said)
    assert re.search(r"✓ untagged users [^✓]*legacy[^✓]*ops never touched", said)
    assert re.search(r"✓ IAM users [^✓]*reporting[^✓]*session-audit never touched", said)
    for service in ("ElastiCache", "MemoryDB"):
        assert re.search(rf"AWS calls per rotation {service} \d+\.\d: ", said)
    assert re.search(r"first rotation \d+\.\d s", said)
    assert not Path(folder_of(said)).exists()
    assert processes_with(folder_of(said)) == []


def test_an_interrupt_ends_it_with_a_summary_and_leaves_nothing():
    demo = start("--interval", "60s")
    said = ""
    for line in demo.stdout:
        said += line
        if "adopted" in line:
            break
    demo.send_signal(signal.SIGINT)
    said += demo.communicate(timeout=60)[0]
    assert demo.returncode == 1
    assert "The demo was too short to tell." in said
    assert re.search(r"- +ElastiCache +2 managed users, 0 rotations", said)
    assert not Path(folder_of(said)).exists()
    assert processes_with(folder_of(said)) == []


def test_a_service_that_does_not_start_is_told_with_its_own_words():
    demo = start("--interval", "2s", "--duration", "12s")
    said, _ = demo.communicate(timeout=110)
    assert demo.returncode == 1
    assert "valkeeper serve ended by itself with status 2" in said
    assert "rotation.interval: '2s': 2s is too short" in said
    log = Path(re.search(r"The logs are kept: (\S+)", said)[1])
    assert [entry.name for entry in log.parent.iterdir()] == ["serve.log"]
    log.unlink()
    log.parent.rmdir()
    assert processes_with(str(log.parent)) == []


def test_a_sandbox_that_does_not_start_is_told_with_its_own_words(tmp_path):
    demo = start("--duration", "20", PATH=str(tmp_path))
    said, _ = demo.communicate(timeout=110)
    assert demo.returncode == 1
    assert "the sandbox did not start" in said
    assert "redis-server" in said
    log = Path(re.search(r"The logs are kept: (\S+)", said)[1])
    log.unlink()
    log.parent.rmdir()


@pytest.mark.parametrize("value", ["soon", "-3"])
def test_a_length_of_time_that_is_none_is_refused(value):
    demo = start(f"--duration={value}")
    said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 2
    assert "--duration" in said
