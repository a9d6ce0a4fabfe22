"""A private PostgreSQL on loopback: the platform's result backend, for tests of chords.

The server is an installed one (Debian's package `postgresql`); it refuses to run as root, so that root starts it as
the package's own user.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field

from unstract_devstack.ports import HOST, free_port
from unstract_devstack.processes import ManagedProcess, ProcessError, inherited_environment

START_SECONDS = 60.0
USER = "unstract"
DATABASE = "postgres"


@define
class PostgresHandle:
    """A running server: where it is and the superuser's password."""

    port: int
    password: str = field(repr=False)

    @property
    def worker_settings(self) -> dict[str, str]:
        """The variables by which a worker finds it."""
        return {
            "CELERY_BACKEND_DB_HOST": HOST, "CELERY_BACKEND_DB_PORT": str(self.port), "CELERY_BACKEND_DB_USER": USER,
            "CELERY_BACKEND_DB_NAME": DATABASE, "CELERY_BACKEND_DB_PASSWORD": self.password,
        }  # fmt: skip

    @property
    def result_backend(self) -> str:
        """URL of Celery's result backend there."""
        return f"db+postgresql+psycopg2://{USER}:{self.password}@{HOST}:{self.port}/{DATABASE}"


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresHandle]:
    """A server with its data in a temporary folder, until the block is left.

    Raises:
        ProcessError: PostgreSQL is not installed, or did not start.
    """
    programs, port, password = _installed(), free_port(), secrets.token_hex(12)
    # Not in a test's folder: those are closed to the user that the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        word = folder / "password"
        word.write_text(password)
        if os.geteuid() == 0:
            for path in (folder, word):
                shutil.chown(path, "postgres", "postgres")
        _run([str(programs / "initdb"), "-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256", "-N",
              f"--pwfile={word}"])  # fmt: skip
        word.unlink()
        asked = [str(programs / "pg_isready"), "-q", "-h", HOST, "-p", str(port)]
        process = _process(programs, folder, port)
        with process.serving(lambda: _succeeds(asked), seconds=START_SECONDS, pause=0.1, grace=3):
            yield PostgresHandle(port, password)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _installed() -> Path:
    found = [folder for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin")) if (folder / "initdb").exists()]
    if not found:
        raise ProcessError("PostgreSQL is not installed: install Debian's package postgresql")
    return found[-1]


def _as_its_user(command: Sequence[str]) -> list[str]:
    if os.geteuid() != 0:
        return list(command)
    # The server ends with us here as well: a change of user would otherwise undo that.
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL", *command]


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(_as_its_user(command), capture_output=True, check=False, text=True, timeout=120)
    if done.returncode != 0:
        raise ProcessError(f"{Path(command[0]).name} failed: {done.stderr[-2000:]}")


def _process(programs: Path, folder: Path, port: int) -> ManagedProcess:
    settings = {
        "port": port, "listen_addresses": HOST, "unix_socket_directories": "", "fsync": "off",
        "shared_buffers": "32MB", "max_connections": 200,
    }  # fmt: skip
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return ManagedProcess(
        name="PostgreSQL",
        command=_as_its_user([str(programs / "postgres"), "-D", str(folder / "data"), *options]),
        environment=inherited_environment(),
        log_path=folder / "postgres.log",
    )


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, check=False, timeout=30).returncode == 0
