"""The real worker processes over a real broker, a real Redis and the reference backend's real HTTP.

`ACCEPTANCE_GROUND` is what the workers stand on, one of `unstract_devstack.grounds`; "redis" unless it is set.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define

from unstract_devstack.extraction import Field
from unstract_devstack.grounds import granted, running_ground
from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import ExecutionRow, Platform
from unstract_devstack.processes import end_of, wait_until
from unstract_devstack.stack import Stack, running_stack

TERMINAL = ("COMPLETED", "ERROR", "STOPPED")
SECONDS = 60.0

# Short waits, so that what is lost is found again within a test's patience.
SETTINGS = {
    "WORKER_LEASE_SECONDS": "6",
    "WORKER_SWEEP_SECONDS": "0.5",
    "WORKER_FIRST_RING_WAIT": "2",
    "WORKER_RECHECK_SECONDS": "2",
    "WORKER_DRAIN_SECONDS": "8",
}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """What the processes logged last belongs to the report of a test that failed."""
    report = yield
    if report.failed:
        found = [value for value in item.funcargs.values() if isinstance(value, Path | Stack | Tenant)]
        stacks = [value.stack if isinstance(value, Tenant) else value for value in found]
        folders = {value.directory if isinstance(value, Stack) else value for value in stacks}
        for log in sorted(log for folder in folders for log in folder.rglob("*.log")):
            report.sections.append((f"end of {log.name}", end_of(log)))
    return report


@pytest.fixture(scope="session")
def stack(tmp_path_factory) -> Iterator[Stack]:
    name, folder = os.environ.get("ACCEPTANCE_GROUND", "redis"), tmp_path_factory.mktemp("stack")
    with (
        running_ground(name, folder / "ground", grants=granted()) as ground,
        running_stack(
            folder,
            settings={**SETTINGS, **ground.settings},
            broker_url=ground.broker_url,
            backend_options=(*ground.backend_options, "--upload-rules", "none"),
            redis=ground.redis,
        ) as stack,
    ):
        yield stack


@define
class Tenant:
    """One organization of the reference backend, fresh for each test."""

    platform: Platform
    stack: Stack
    folder: Path

    def api(self, name: str = "extract", **settings) -> str:
        fields = (Field(name="total", pattern=r"Total:\s*([\d.]+)"),)
        workflow = self.platform.create_workflow(name, "api", fields, **settings)
        return self.platform.create_api_deployment(workflow, name)

    def etl(self, source: Path, table: str, **settings) -> str:
        workflow = self.platform.create_workflow(
            table, "etl", (), source_folder=str(source), destination_table=table, **settings
        )
        return self.platform.create_pipeline(workflow, table)

    def upload(self, name: str, content: str | bytes) -> Upload:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Upload(path, name, path.stat().st_size)

    def run(self, files, *, api_name: str = "extract", history: bool = False) -> ExecutionRow:
        return self.ended(self.platform.send_files(api_name, files, use_file_history=history))

    def ended(self, execution_id: str) -> ExecutionRow:
        def terminal() -> bool:
            self.stack.fleet.check()
            return self.platform.execution(execution_id).status in TERMINAL

        assert wait_until(terminal, seconds=SECONDS), self.platform.execution(execution_id)
        return self.platform.execution(execution_id)

    def terminal_writes(self, execution_id: str) -> list[str]:
        return [
            effect.detail["status"]
            for effect in self.platform.effects(execution_id)
            if effect.file is None and effect.detail.get("status") in TERMINAL
        ]

    def executed(self, execution_id: str) -> int:
        return sum(effect.operation == "files.execute" for effect in self.platform.effects(execution_id))


_NUMBERS = itertools.count(1)


@pytest.fixture
def tenant_of(tmp_path: Path) -> Callable[[Stack], Tenant]:
    def make(stack: Stack) -> Tenant:
        platform = Platform(stack.backend.public_url, stack.backend.api_key, f"org_test_{next(_NUMBERS)}")
        platform.set_up_organization()
        return Tenant(platform, stack, tmp_path)

    return make


@pytest.fixture
def tenant(stack: Stack, tenant_of: Callable[[Stack], Tenant]) -> Tenant:
    return tenant_of(stack)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    def check(condition: Callable[[], bool]) -> None:
        assert wait_until(condition, seconds=SECONDS)

    return check
