"""The reference backend as a process of its own."""

import contextlib
import json
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field

from unstract_devstack.platform_client import DevApi, Platform
from unstract_devstack.processes import ManagedProcess, inherited_environment

HOST = "127.0.0.1"
START_SECONDS = 90.0


@define
class BackendProcess:
    """A running reference backend: its roots and the bearer key that its internal and dev APIs ask for."""

    port: int
    api_key: str = field(repr=False)
    process: ManagedProcess

    @property
    def public_url(self) -> str:
        """Root of the public face and of the dev API."""
        return f"http://{HOST}:{self.port}"

    @property
    def dev(self) -> DevApi:
        return DevApi(self.public_url, self.api_key)

    def platform(self, organization: str) -> Platform:
        """A client of it that acts for this organization."""
        return Platform(self.public_url, self.api_key, organization)

    @property
    def internal_url(self) -> str:
        """Root of the internal API, as workers are configured with it."""
        return f"{self.public_url}/internal"


@contextlib.contextmanager
def running_backend(
    directory: Path, *, broker_url: str, redis_url: str, options: Sequence[str] = (), port: int = 0
) -> Iterator[BackendProcess]:
    """A reference backend that keeps its data in `directory`, until the block is left.

    `options` are further arguments of its command line.
    """
    directory.mkdir(parents=True, exist_ok=True)
    key_file, output, api_key = directory / "api-key", directory / "backend.ready", secrets.token_hex(24)
    key_file.touch(mode=0o600)
    key_file.write_text(api_key, encoding="utf-8")
    addresses = ("--host", HOST, "--port", str(port), "--broker-url", broker_url, "--redis-url", redis_url)
    process = ManagedProcess(
        name="reference backend",
        command=(
            *(sys.executable, "-m", "unstract_devstack.backend", "--data", str(directory), *addresses),
            *("--api-key-file", str(key_file), *options),
        ),
        environment={**inherited_environment(), "PYTHONUNBUFFERED": "1"},
        log_path=directory / "backend.log",
        output_path=output,
    )
    # It says in one line where it serves.
    with process.serving(lambda: b"\n" in output.read_bytes(), seconds=START_SECONDS):
        said = json.loads(output.read_text(encoding="utf-8").splitlines()[0])
        yield BackendProcess(port=int(said["port"]), api_key=api_key, process=process)
