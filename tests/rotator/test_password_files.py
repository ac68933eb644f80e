"""A password file: what is taken from it, what is refused, and what a change of it looks like."""

import os

import pytest

from rotator.password_files import PasswordFileError, fingerprint, read_password


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "batch.password"
    path.write_text("first-password\n")
    path.chmod(0o600)
    return path


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


# Whether it has changed.


def test_reading_a_file_changes_nothing_about_it(file):
    before = fingerprint(file)
    read_password(file)
    assert fingerprint(file) == before


def put_back_the_times(file):
    """Another text of the same length, with the old times: only the inode's own time tells."""
    seen = file.stat()
    file.write_text("other-password\n")
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def replace_by_rename(file):
    fresh = file.with_name("fresh")
    fresh.write_text("first-password\n")
    fresh.rename(file)


CHANGES = {
    "written in place": lambda file: file.write_text("a-longer-password-than-before\n"),
    "written in place, its times put back": put_back_the_times,
    "replaced by rename": replace_by_rename,
    "another mode": lambda file: file.chmod(0o644),
    "removed": lambda file: file.unlink(),
}


def past_this_tick(file):
    """Until the file system's clock, which may stand still for milliseconds, gives another time than the file's."""
    probe = file.with_name("probe")
    probe.touch()
    while probe.stat().st_ctime_ns == file.stat().st_ctime_ns:
        probe.touch()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_seen_without_reading(file, change):
    before = fingerprint(file)
    past_this_tick(file)
    change(file)
    assert fingerprint(file) != before


def test_a_link_that_points_elsewhere_is_a_change(file, tmp_path):
    """As Kubernetes replaces what it mounts: a folder behind a link is swapped."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "password").write_text("same")
    data = tmp_path / "data"
    data.symlink_to("one")
    before = fingerprint(data / "password")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(data)
    assert fingerprint(data / "password") not in {before, None}
