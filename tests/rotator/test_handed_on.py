"""Passwords of static databases' users, read from files."""

import pytest

from discovery.model import DatabaseKind, HandedOnUser
from rotator.handed_on import HandedOnPasswords, PasswordFileError, read_password
from tests.rotator.records import database


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "batch.password"
    path.write_text("first-password\n")
    path.chmod(0o600)
    return path


def legacy(path):
    users = (HandedOnUser("batch", str(path)),)
    return database("legacy", kind=DatabaseKind.STATIC, place=None, handed_on=users)


@pytest.mark.parametrize("content", ["secret-text", "secret-text\n", "secret-text\r\n"])
def test_one_line_end_is_not_part_of_the_password(file, content):
    file.write_bytes(content.encode())
    assert read_password(file).get_secret_value() == "secret-text"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440])
def test_the_owner_and_its_group_may_read_it(file, mode):
    file.chmod(mode)
    assert read_password(file).get_secret_value() == "first-password"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602, 0o601])
def test_a_file_that_others_reach_is_refused_with_what_to_do(file, mode):
    file.chmod(mode)
    with pytest.raises(PasswordFileError, match=rf"mode 0{mode:o}.*chmod 0600"):
        read_password(file)


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"x" * 5000, b"\xff\xfe"])
def test_what_is_not_one_password_is_refused_and_not_repeated(file, content):
    file.write_bytes(content)
    with pytest.raises(PasswordFileError) as refusal:
        read_password(file)
    assert str(file) in str(refusal.value)
    assert "two" not in str(refusal.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PasswordFileError, match="no-such-file can't be read: No such file"):
        read_password(tmp_path / "no-such-file")


def test_an_unchanged_file_gives_the_same_credential(file):
    passwords = HandedOnPasswords()
    assert passwords.read([legacy(file)]) == passwords.read([legacy(file)])


def test_a_new_password_keeps_the_one_before_beside_it(file):
    passwords = HandedOnPasswords()
    [first] = passwords.read([legacy(file)])
    file.write_text("second-password\n")
    [second] = passwords.read([legacy(file)])
    assert second.version != first.version
    assert (second.current.get_secret_value(), second.previous) == ("second-password", first.current)


def test_a_version_says_nothing_of_the_password(file):
    """Two instances give the same password different versions: none can be looked up in a table."""
    versions = {HandedOnPasswords().read([legacy(file)])[0].version for _ in range(2)}
    assert len(versions) == 2


def test_the_last_good_password_survives_a_bad_file_and_the_error_goes_with_it(file):
    passwords = HandedOnPasswords()
    good = passwords.read([legacy(file)])
    file.chmod(0o644)
    assert passwords.read([legacy(file)]) == good
    assert "chmod 0600" in passwords.errors["static/legacy/user/batch"]
    file.chmod(0o600)
    passwords.read([legacy(file)])
    assert passwords.errors == {}


def test_a_database_that_goes_takes_its_users_along(file):
    passwords = HandedOnPasswords()
    passwords.read([legacy(file)])
    assert passwords.read([]) == ()
