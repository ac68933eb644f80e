"""Settings from the file, the environment and flags, and what is said where one of them is wrong."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from rotator import config
from rotator.config import load
from rotator.errors import UsageError

ROOT = Path(__file__).parents[2]
LEAK = "hunter2-canary"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("VALKEEPER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(config, "DEFAULT_FILE", tmp_path / "none.yaml")


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "valkeeper.yaml"
        path.write_text(text)
        return path

    return write


def refused(path=None, flags=None):
    with pytest.raises(UsageError) as caught:
        load(path, flags)
    return str(caught.value)


def test_defaults_are_enough():
    settings = load()
    assert settings.rotation.interval == timedelta(minutes=15)
    assert settings.rotation.secret_prefix == "valkeeper/"
    assert settings.admin.address == ("127.0.0.1", 9127)


def test_environment_beats_the_file_and_a_flag_beats_both(file, monkeypatch):
    path = file("rotation: {interval: 1m, jitter: 1s}\nlog: {level: error}")
    assert load(path).rotation.interval == timedelta(minutes=1)
    monkeypatch.setenv("VALKEEPER_ROTATION__INTERVAL", "2m")
    assert load(path).rotation.interval == timedelta(minutes=2)
    settings = load(path, {"rotation": {"interval": "3m"}})
    assert settings.rotation.interval == timedelta(minutes=3)
    assert settings.rotation.jitter == timedelta(seconds=1), "sections are merged key by key"
    assert settings.log.level == "error"


def test_the_environment_names_the_file(file, monkeypatch):
    monkeypatch.setenv("VALKEEPER_CONFIG", str(file("rotation: {interval: 1m}")))
    assert load().rotation.interval == timedelta(minutes=1)


ROLE = "{name: backend, databases: [orders], db_users: [app]}"
DOOR = "{tls: '0.0.0.0:6381', cert_file: /c, key_file: /k, role: frontend}"
WRONG = {
    "an unknown section": ("rotations: {}", ["rotations", "unknown key", "rotation", "databases"]),
    "an unknown key": ("rotation: {intervall: 1m}", ["rotation.intervall", "unknown key", "interval"]),
    "an unknown key in a list": (
        "discovery: {sources: [{region: us-east-1}]}",
        ["discovery.sources.0.region", "unknown key", "regions"],
    ),
    "no length of time": ("rotation: {interval: soon}", ["rotation.interval", "'soon'", "15m"]),
    "too short": ("rotation: {interval: 1s}", ["rotation.interval", "1s", "5s is the least"]),
    "no log level": ("log: {level: loud}", ["log.level", "'loud'", "'debug', 'info', 'warning'"]),
    "no address": ("admin: {listen: nine}", ["admin.listen", "'nine'", "127.0.0.1:9127"]),
    "no port": ("admin: {listen: '127.0.0.1:99999'}", ["admin.listen", "99999"]),
    "half a role": (
        "access: {roles: [{name: dba}]}",
        ["access.roles.0.databases", "access.roles.0.db_users"],
    ),
    "two roles of one name": (
        f"access: {{roles: [{ROLE}, {ROLE}]}}",
        ["access", "two roles named 'backend'"],
    ),
    "no such role": (
        f"proxy: {{listeners: [{DOOR}]}}\naccess: {{roles: [{ROLE}]}}",
        [
            "listener on 0.0.0.0:6381 names the role 'frontend'",
            "there are backend",
        ],
    ),
    "no role at all": (f"proxy: {{listeners: [{DOOR}]}}", ["names the role 'frontend'", "there is none"]),
    "a prefix": ("rotation: {secret_prefix: 'a b'}", ["rotation.secret_prefix", "'a b'"]),
    "no number": ("proxy: {workers: many}", ["proxy.workers", "'many'", "integer"]),
    "not YAML": ("rotation: [", ["valkeeper.yaml, line 1", "not YAML"]),
    "no sections": ("- rotation", ["valkeeper.yaml", "expected sections"]),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_named_with_what_is_allowed(file, text, said):
    message = refused(file(text))
    for part in said:
        assert part in message


def test_what_is_about_several_sections_begins_with_no_key(file):
    assert refused(file(f"proxy: {{listeners: [{DOOR}]}}")).startswith("the listener on 0.0.0.0:6381")


def test_everything_that_is_wrong_is_said_at_once(file):
    assert len(refused(file("rotation: {interval: soon}\nlog: {level: loud}")).splitlines()) == 2


@pytest.mark.parametrize("name", ["VALKEEPER_ROTATE__INTERVAL", "VALKEEPER_INTERVAL"])
def test_an_unknown_variable(monkeypatch, name):
    monkeypatch.setenv(name, "1m")
    assert name in (message := refused())
    assert "VALKEEPER_ROTATION" in message


def test_a_wrong_value_in_a_variable(monkeypatch):
    monkeypatch.setenv("VALKEEPER_ROTATION__INTERVAL", "soon")
    assert "rotation.interval: 'soon'" in refused()


def test_a_variable_that_should_hold_json(monkeypatch):
    monkeypatch.setenv("VALKEEPER_DATABASES", f"[{LEAK}")
    assert "databases" in (message := refused())
    assert LEAK not in message


def test_a_file_that_is_not_there(tmp_path):
    assert "gone.yaml can't be read" in refused(tmp_path / "gone.yaml")


URI = f"rediss://app:{LEAK}@redis.example:6379"
SECRETS = {
    "in its uri": f"databases: [{{name: a, uri: '{URI}'}}]",
    "as a key": f"databases: [{{name: a, uri: 'rediss://h', users: [{{name: u, password: {LEAK}}}]}}]",
    "as a user": f"databases: [{{name: a, uri: 'rediss://h', users: [{LEAK}]}}]",
}
LEAKING = {
    "a uri in place of a database": f"databases: ['{URI}']",
    "a uri in place of the list": f"databases: '{URI}'",
}


@pytest.mark.parametrize(
    "text",
    [
        *(pytest.param(text, id=name) for name, text in SECRETS.items()),
        *(pytest.param(text, id=name) for name, text in LEAKING.items()),
    ],
)
def test_a_secret_is_never_printed(file, text):
    message = refused(file(text))
    assert "databases" in message
    assert LEAK not in message


def test_serve_ends_with_2_before_anything_starts(file, short_dir):
    runtime = short_dir / "run"
    path = file("rotation: {interval: soon}")
    command = [sys.executable, "-m", "rotator.cli", "serve", "-c", str(path), "--runtime-dir", str(runtime)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert answer.stderr.startswith("valkeeper: rotation.interval: 'soon'")
    assert "Traceback" not in answer.stderr
    assert not runtime.exists()
