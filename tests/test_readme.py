"""The README says what the code says."""

import ast
import json
import re
from pathlib import Path

import pytest
import typer

from deploy import reference
from rotator.cli import app

ROOT = Path(__file__).parent.parent
README = reference.README.read_text(encoding="utf-8")
_IAM_SERVICES = {"resourcegroupstaggingapi": "tag"}
_NEEDS_NO_PERMISSION = {"sts:GetCallerIdentity"}


@pytest.mark.parametrize("file", reference.PARTS, ids=lambda file: file.name)
def test_generated_parts_are_those_of_the_code(file):
    assert reference.written(file) == file.read_text(encoding="utf-8"), "run `make docs`"


def test_every_setting_and_metric_is_explained():
    for table in (reference.settings_table(), reference.metrics_table()):
        for row in table.splitlines()[2:]:
            assert row.rsplit("|", 2)[1].strip(), row


def _actions_in_code() -> set[str]:
    """Every AWS call in the packages, as IAM calls it: `call`, `pages` and `mutate` of a session."""
    actions = set()
    for file in [*(ROOT / "discovery").rglob("*.py"), *(ROOT / "rotator").rglob("*.py")]:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"call", "pages", "mutate"}
            ):
                service, operation = (
                    arg.value if isinstance(arg, ast.Constant) else constants.get(getattr(arg, "id", ""))
                    for arg in node.args[:2]
                )
                assert isinstance(service, str), f"{file}:{node.lineno}"
                assert isinstance(operation, str), f"{file}:{node.lineno}"
                name = "".join(word.capitalize() for word in operation.split("_"))
                actions.add(f"{_IAM_SERVICES.get(service, service)}:{name}")
    return actions


def test_the_policy_allows_what_the_code_calls_and_nothing_else():
    text = re.search(r"<!-- policy -->\s+```json\n(.*?)```", README, re.DOTALL)
    assert text is not None
    policy = json.loads(text[1])
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    # CreateSecret with tags asks for TagResource as well, and a token is good for what its signer may do.
    implied = {"secretsmanager:TagResource", "elasticache:Connect", "memorydb:Connect"}
    assert allowed == (_actions_in_code() - _NEEDS_NO_PERMISSION) | implied


def test_every_command_is_in_the_readme():
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name in commands:
        assert f"`valkeeper {name}" in README, name


def test_every_make_target_in_the_readme_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)\b", README)) <= targets
