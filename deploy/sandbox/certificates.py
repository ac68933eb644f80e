"""The sandbox's own certificate authority, made anew at each start."""

from dataclasses import dataclass
from pathlib import Path

import trustme

__all__ = ["Certificates", "issue"]


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files that a TLS server and its clients need."""

    ca_file: Path
    certificate_file: Path
    key_file: Path


def issue(directory: Path) -> Certificates:
    """Make an authority, and a server certificate for 127.0.0.1 and localhost, in `directory`."""
    files = Certificates(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    authority = trustme.CA(organization_name="Valkeeper sandbox")
    server = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(files.ca_file)
    for pem in server.cert_chain_pems:
        pem.write_to_path(files.certificate_file, append=True)
    files.key_file.touch(mode=0o600)
    server.private_key_pem.write_to_path(files.key_file)
    return files
