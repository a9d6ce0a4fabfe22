"""A certificate authority for one test, and one server certificate of it."""

from pathlib import Path

import trustme
from attrs import frozen


@frozen
class Certificates:
    """Files in PEM form: the authority's certificate, the server's certificate and its key."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(directory: Path) -> Certificates:
    """Write an authority and a certificate for this machine's loopback into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    made = Certificates(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(made.authority)
    server.private_key_pem.write_to_path(made.key)
    server.cert_chain_pems[0].write_to_path(made.certificate)
    return made
