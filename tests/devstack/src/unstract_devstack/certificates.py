"""A certificate authority for one test and one server certificate of it, made by the `openssl` command."""

import subprocess
from pathlib import Path

from attrs import frozen

from unstract_devstack.processes import ProcessError

_SUBJECT = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@frozen
class Certificates:
    """Files in PEM form: the authority's certificate, the server's certificate and its key."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(directory: Path) -> Certificates:
    """An authority and a certificate for this machine's loopback, in `directory`. Raises ProcessError."""
    directory.mkdir(parents=True, exist_ok=True)
    made = Certificates(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    authority_key = directory / "ca.key"
    new = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    _run(*new, "-subj", "/CN=devstack", "-keyout", str(authority_key), "-out", str(made.authority))
    signed = ("-CA", str(made.authority), "-CAkey", str(authority_key), "-addext", _SUBJECT)
    _run(*new, "-subj", "/CN=localhost", *signed, "-addext", "basicConstraints=critical,CA:FALSE",
         "-keyout", str(made.key), "-out", str(made.certificate))  # fmt: skip
    return made


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    if done.returncode != 0:
        raise ProcessError(f"openssl failed: {done.stderr[-500:]}")
