"""The reference backend as a process of its own."""

import contextlib
import json
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field

from unstract_devstack.platform_client import DevApi, Platform
from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until

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
        """Its dev API."""
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
    api_key = secrets.token_hex(24)
    key_file = directory / "api-key"
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(api_key)
    addresses = ("--host", HOST, "--port", str(port), "--broker-url", broker_url, "--redis-url", redis_url)
    process = ManagedProcess(
        name="reference backend",
        command=(
            *(sys.executable, "-m", "unstract_devstack.backend", "--data", str(directory)),
            *addresses,
            *("--api-key-file", str(key_file), *options),
        ),
        environment={**inherited_environment(), "PYTHONUNBUFFERED": "1"},
        log_path=directory / "backend.log",
        output_path=directory / "backend.ready",
    )
    try:
        process.start()
        yield BackendProcess(
            port=_announced_port(process, directory / "backend.ready"), api_key=api_key, process=process
        )
    finally:
        process.stop()


def _announced_port(process: ManagedProcess, output: Path) -> int:
    """The port in the line that the backend prints when it serves."""
    if not wait_until(lambda: not process.running or b"\n" in output.read_bytes(), seconds=START_SECONDS):
        raise process.failure(f"did not say within {START_SECONDS:.0f} s that it serves")
    if not process.running:
        raise process.failure("ended while it was starting")
    return int(json.loads(output.read_text(encoding="utf-8").splitlines()[0])["port"])
