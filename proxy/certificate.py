"""The certificate that a TLS listener shows: read from its files, and again as soon as they change."""

import ssl
import stat
from pathlib import Path

import structlog

from proxy.directory import Record
from proxy.errors import CertificateError

__all__ = ["Certificate", "CertificateFiles", "NamedConnection"]

log = structlog.get_logger("proxy")


class CertificateFiles(Record):
    """Where a certificate is."""

    cert_file: Path  # PEM, with the chain behind it
    key_file: Path


class NamedConnection(ssl.SSLObject):
    """One TLS connection of a client's.

    Attributes:
        server_name: what it asked for (SNI); None: it named nothing, or the handshake has not come so far.
    """

    server_name: str | None = None


class Certificate:
    """The newest usable content of the two files.

    Args:
        files: where they are.
    """

    def __init__(self, files: CertificateFiles) -> None:
        self._files = files
        self._context: ssl.SSLContext | None = None
        self._seen: tuple[tuple[int, ...], ...] | None = None

    def check(self) -> None:
        """Make sure that it can be used, and say where the key is less secret than it should be.

        Raises:
            CertificateError: it cannot.
        """
        self._load()
        key_file = self._files.key_file
        if key_file.stat().st_mode & stat.S_IROTH:
            log.warning("everybody on this machine may read the private key", key_file=str(key_file))

    def context(self) -> ssl.SSLContext:
        """What the next connection is secured with.

        It costs two looks at the files. Where they changed and are no good, the last that was good goes on being used,
        and the log says so once.

        Raises:
            CertificateError: there was no good one yet.
        """
        seen = self._look()
        if self._context is None or seen != self._seen:
            self._read_again(seen)
        if self._context is None:
            raise CertificateError(f"{self._files.cert_file} was not usable yet")
        return self._context

    def _read_again(self, seen: tuple[tuple[int, ...], ...] | None) -> None:
        is_new, self._seen = seen != self._seen, seen
        try:
            context = self._load()
        except CertificateError as error:
            if is_new:
                kept = (
                    "the one before goes on being used" if self._context is not None else "there is no other"
                )
                log.warning("certificate not usable", error=str(error), instead=kept)
            return
        if self._context is not None:
            log.info("certificate changed", cert_file=str(self._files.cert_file))
        self._context = context

    def _look(self) -> tuple[tuple[int, ...], ...] | None:
        """Differs as soon as either file was written or replaced; None: one is not there."""
        try:
            stats = [file.stat() for file in (self._files.cert_file, self._files.key_file)]
        except OSError:
            return None
        return tuple((one.st_dev, one.st_ino, one.st_mtime_ns, one.st_size) for one in stats)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.sslobject_class = NamedConnection
        context.sni_callback = _take_name
        files = self._files
        try:
            context.load_cert_chain(files.cert_file, files.key_file, password=_no_password)
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            raise CertificateError(
                f"cert_file {files.cert_file} and key_file {files.key_file} are no certificate and its key: {reason}"
            ) from error
        return context


def _take_name(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
    assert isinstance(connection, NamedConnection)  # noqa: S101 -- the context makes no other
    connection.server_name = name


def _no_password() -> str:
    # Without this, OpenSSL would ask whoever sits at the terminal.
    raise ValueError("the key is encrypted, and there is nobody to ask for its password")
