"""What is installed for these tests is the same everywhere."""

from pathlib import Path

FOLDER = Path(__file__).parent


def test_the_lock_file_holds_versions_and_no_addresses():
    lock = (FOLDER / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
