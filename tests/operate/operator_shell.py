"""An operator's shell: the workers' commands against a running stack, and what he looks at besides."""

import json
import os
import re
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from attrs import define

from unstract_devstack.extraction import Field
from unstract_devstack.fleet import FILE_PROCESSING, Fleet, running_fleet
from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import Platform
from unstract_devstack.processes import inherited_environment, wait_until
from unstract_devstack.stack import Stack

SECONDS = 60.0


@define
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What was printed; numbers in it must be JSON's."""
        found = json.loads(self.out)
        assert numbers_as_text(found) == []
        return found


def numbers_as_text(value: Any, name: str = "") -> list[str]:
    """The names of members that hold a number as text; ids may look like one."""
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in numbers_as_text(item, key)]
    if isinstance(value, list):
        return [found for item in value for found in numbers_as_text(item, name)]
    is_number = isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value)
    return [f"{name}: {value}"] if is_number and name not in ("id", "instance", "hostname") else []


@define
class Ground:
    """The stack, one organization of it, and an operator's shell."""

    stack: Stack
    platform: Platform
    folder: Path

    def run(self, *arguments: str, worker: str = "callback", without: tuple[str, ...] = (), **variables: str) -> Done:
        """A command as an operator types it: without a terminal, with the workers' variables but those left out."""
        environment = {**inherited_environment(), **self.stack.environment, **variables}
        for name in without:
            environment.pop(name, None)
        module = f"unstract_worker_{worker}"
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments], env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=90,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def api(self) -> None:
        workflow = self.platform.create_workflow("extract", "api", (Field(name="total", pattern=r"Total:\s*([\d.]+)"),))
        self.platform.create_api_deployment(workflow, "extract")

    def send(self, files: int = 2) -> str:
        uploads = []
        for number in range(files):
            path = self.folder / f"{number}-{os.urandom(4).hex()}.txt"
            path.write_text(f"Total: {number} {path.name}")
            uploads.append(Upload(path, path.name, path.stat().st_size))
        return self.platform.send_files("extract", uploads, use_file_history=False)

    def view(self, run_id: str) -> dict[str, Any] | None:
        listed = self.run("runs", "--json", "--limit", "1000").json["runs"]
        return next((run for run in listed if run["run_id"] == run_id), None)

    def stranded(self, files: int = 2) -> str:
        """An execution that is armed, without a worker for it."""
        run_id = self.send(files)
        assert wait_until(lambda: (self.view(run_id) or {}).get("state") == "ARMED", seconds=SECONDS)
        return run_id

    def file_worker(self) -> AbstractContextManager[Fleet]:
        return running_fleet(self.stack.environment, self.folder / "logs", kinds=(FILE_PROCESSING,))

    def drop_doorbells(self) -> None:
        """What the broker does to a message at the wrong moment."""
        with self.stack.redis.client() as client:
            client.delete("uw_api_files", "uw_files")

    def ends(self, run_id: str) -> str:
        def terminal() -> bool:
            return self.platform.execution(run_id).status in ("COMPLETED", "ERROR", "STOPPED")

        assert wait_until(terminal, seconds=SECONDS), self.platform.execution(run_id)
        return self.platform.execution(run_id).status
