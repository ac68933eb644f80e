"""The house rules, read off the code: who may import whom, and what no file may hold."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("discovery", "proxy", "rotator")
# discovery ← proxy ← rotator; of discovery, the proxy may see what is pure.
FORBIDDEN = {
    "discovery": {"proxy", "rotator", "deploy", "moto", "tests"},
    "proxy": {"rotator", "deploy", "moto", "tests", "boto3", "botocore"},
    "rotator": {"deploy", "moto", "tests"},
}
# The first is what the others are imported through. Two ask nothing: the limiter borrows arithmetic, and tokens signs.
AWS_DOOR = {
    "discovery.aws",
    "discovery.limiter",
    "discovery.roles",
    "discovery.session",
    "discovery.translation",
    "rotator.tokens",
}
LONGEST = 400


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {name_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def imports(name):
    """Every module that a file imports, at its top or inside a function; each with the packages around it."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute here"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found | {
        ".".join(one.split(".")[:depth]) for one in found for depth in range(1, one.count(".") + 1)
    }


def roots(name):
    return {one.partition(".")[0] for one in imports(name)}


def reached_from(package):
    """All modules of ours that a package's modules import, directly or through others."""
    waiting, seen = [name for name in FILES if name.split(".")[0] == package], set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [one for one in imports(name) if one in FILES]
    return seen


def test_the_rules_see_the_code():
    assert {name.split(".")[0] for name in FILES} == set(PACKAGES)
    assert "boto3" in roots("discovery.aws")
    assert "proxy.parent" in imports("rotator.cli"), "imports inside functions count"


@pytest.mark.parametrize("name", FILES)
def test_imports_run_one_way(name):
    assert not roots(name) & FORBIDDEN[name.split(".")[0]]


@pytest.mark.parametrize("name", FILES)
def test_boto3_has_one_door(name):
    if name not in AWS_DOOR:
        assert not roots(name) & {"boto3", "botocore", "s3transfer"}


def test_the_proxy_reaches_no_boto3_through_anything():
    reached = reached_from("proxy")
    assert "discovery.model" in reached
    assert [name for name in reached if roots(name) & {"boto3", "botocore"}] == []


def test_the_proxy_loads_no_boto3_and_nothing_for_terminals():
    program = (
        "import proxy.worker, proxy.parent, sys;"
        "print([m for m in sys.modules if m.split('.')[0] in {'boto3', 'botocore', 'rotator'} or m == 'rich.text'])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("name", FILES)
def test_no_file_is_over_400_lines(name):
    assert len(FILES[name].read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("name", FILES)
def test_no_task_without_a_group(name):
    """A bare task's errors go unseen, and nobody waits for it."""
    for node in ast.walk(TREES[name]):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        assert called != "ensure_future", f"line {node.lineno}"
        if called == "create_task":
            assert isinstance(owner, ast.Name | ast.Attribute), f"line {node.lineno}"
            said = owner.id if isinstance(owner, ast.Name) else owner.attr
            assert said not in {"asyncio", "loop", "_loop"}, f"line {node.lineno}"


@pytest.mark.parametrize("name", FILES)
def test_files_are_named_by_their_noun(name):
    assert not {"utils", "util", "helpers", "helper", "common", "misc"} & set(name.split("."))
