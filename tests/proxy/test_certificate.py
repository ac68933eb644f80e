"""The certificate that a TLS listener shows: read at start, and again when it changes."""

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from proxy.certificate import Certificate, CertificateFiles
from proxy.errors import CertificateError
from tests.proxy.proxykit import PATIENCE, eventually
from tests.proxy.tlskit import ANYTHING, TlsDoor, write_certificate


def test_a_new_certificate_is_shown_to_new_clients_and_a_broken_one_to_nobody(door, proxy, ca):
    def kept(text):
        return [event for event in proxy.events() if text in event.get("event", "")]

    with door.socket() as before:
        first = before.certificate()
        write_certificate(ca, door.folder)
        with door.socket() as after:
            second = after.certificate()
        assert second != first
        before.sendall(b"AUTH app x\r\n")
        assert before.recv(5) == b"+OK\r\n"
    (door.folder / "door.key").write_text("no key")
    for _ in range(3):
        with door.socket() as sock:
            assert sock.certificate() == second
    (door.folder / "door.pem").unlink()
    for _ in range(3):
        with door.socket() as sock:
            assert sock.certificate() == second
    write_certificate(ca, door.folder)
    with door.socket() as sock:
        assert sock.certificate() not in (first, second)
    assert (len(kept("certificate changed")), len(kept("certificate not usable"))) == (2, 2)
    assert "no certificate and its key" in kept("certificate not usable")[0]["error"]


def encrypt(file):
    key = load_pem_private_key(file.read_bytes(), None)
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    )


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "door.key").unlink(), "No such file"),
        (lambda folder: (folder / "door.pem").write_text("-----BEGIN"), "PEM"),
        (lambda folder: encrypt(folder / "door.key"), "the key is encrypted"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said(tmp_path, ca, spoil, words):
    write_certificate(ca, tmp_path)
    spoil(tmp_path)
    certificate = Certificate(
        CertificateFiles(cert_file=tmp_path / "door.pem", key_file=tmp_path / "door.key")
    )
    with pytest.raises(CertificateError) as refused:
        certificate.check()
    assert words in str(refused.value)
    assert str(tmp_path / "door.key") in str(refused.value)
    with pytest.raises(CertificateError):
        certificate.context()
    write_certificate(ca, tmp_path)
    certificate.check()
    assert certificate.context() is certificate.context()


def test_a_proxy_without_a_usable_certificate_does_not_start(start_proxy, short_dir):
    proxy = start_proxy(roles=[ANYTHING], listeners=[TlsDoor(short_dir, None).listener()])
    assert proxy.process.wait(PATIENCE) == 1
    [event] = proxy.events("proxy cannot start")
    assert "door.key are no certificate and its key: No such file" in event["error"]


def test_what_is_odd_about_a_listener_is_told_at_start(start_proxy, publisher, short_dir, ca):
    write_certificate(ca, short_dir)
    (short_dir / "door.key").chmod(0o644)
    proxy = start_proxy(
        roles=[ANYTHING, ANYTHING | {"name": "nobody"}], listeners=[TlsDoor(short_dir, None).listener()]
    )
    eventually(lambda: proxy.events("proxy started"))
    [key] = proxy.events("everybody on this machine may read the private key")
    [role] = proxy.events("role is not used: no listener names it")
    assert (key["key_file"], role["role"]) == (str(short_dir / "door.key"), "nobody")
