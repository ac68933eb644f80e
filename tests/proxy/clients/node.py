"""Programs for Node.js, which read JSON and print JSON."""

import json
import subprocess
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

__all__ = ["answer", "play", "running"]

_FOLDER = Path(__file__).parent
_PATIENCE = 30


@contextmanager
def running(program, **said):
    """A program that was told this on the first line of its standard input."""
    assert (_FOLDER / "node_modules" / "installed").exists(), (
        "run `make test` once: it installs the Node.js clients"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(["node", _FOLDER / program], text=True, **pipes) as process:
        try:
            process.stdin.write(json.dumps(said) + "\n")
            process.stdin.flush()
            yield process
        finally:
            process.kill()


def answer(process):
    """Close its standard input, and give what it prints when it has ended well."""
    printed, complaints = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 0, complaints
    return json.loads(printed)


def play(program, ways, protocol):
    """For each of the ways every step's name and what the client was told."""
    with running(program, ways=[asdict(way) for way in ways], protocol=protocol) as process:
        return answer(process)
