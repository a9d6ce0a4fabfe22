"""The four workers with the executor `platform`, and stand-ins of the platform's executor, platform-service and store."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define

from unstract_devstack.executor import Bill, ExecutorStack
from unstract_devstack.executor.running import ObjectStore, running_object_store
from unstract_devstack.extraction import Field
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import ExecutionRow, Platform
from unstract_devstack.processes import end_of, inherited_environment, wait_until
from unstract_devstack.rabbitmq_server import RabbitHandle, running_rabbitmq
from unstract_devstack.stack import Stack, running_stack
from unstract_worker_core.fleet import Fleet as LiveFleet
from unstract_worker_core.ledger.operator import Operator
from unstract_worker_core.operator.runs_showing import why_it_waits

TERMINAL = ("COMPLETED", "ERROR", "STOPPED")
SECONDS = 200.0
# Short waits, so that what is lost is found again within a test's patience. What may still be answered is not: workers
# start, RabbitMQ restarts and files queue up within these times on a busy machine too, or a file is paid for twice.
SETTINGS = {
    "WORKER_LEASE_SECONDS": "6",
    "WORKER_SWEEP_SECONDS": "0.5",
    "WORKER_FIRST_RING_WAIT": "2",
    "WORKER_MAX_RING_WAIT": "4",
    "WORKER_RECHECK_SECONDS": "2",
    "WORKER_DRAIN_SECONDS": "8",
    "CIRCUIT_BREAKER_RECOVERY_TIMEOUT": "2",
    "EXECUTOR_RESULT_TIMEOUT": "90",
    "WORKER_EXECUTOR_UNSENT_TIMEOUT": "30",
}
FIELDS = (Field(name="total", pattern=r"Total:\s*([\d.]+)"),)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """What the processes logged last belongs to the report of a test that failed."""
    report = yield
    if report.failed:
        stacks = [value.stack for value in item.funcargs.values() if isinstance(value, Fleet)]
        for log in sorted(log for stack in stacks for log in stack.directory.rglob("*.log")):
            report.sections.append((f"end of {log.name}", end_of(log)))
    return report


@define
class Fleet:
    """A stack with an executor, and what a test does with it."""

    stack: Stack
    store: ObjectStore
    folder: Path
    numbers: Iterator[int]
    rabbit: RabbitHandle | None = None

    @property
    def rabbitmq(self) -> RabbitHandle:
        assert self.rabbit is not None
        return self.rabbit

    @property
    def executor(self) -> ExecutorStack:
        assert self.stack.executor is not None
        return self.stack.executor

    @property
    def bill(self) -> Bill:
        return self.executor.bill

    def tenant(self) -> "Tenant":
        self.bill.forget_faults()  # those that no request of an earlier test met
        platform = self.stack.backend.platform(f"org_executor_{next(self.numbers)}")
        platform.set_up_organization()
        platform.configure("MAX_PARALLEL_FILE_BATCHES", 4)
        workflow = platform.create_workflow("extract", "api", FIELDS)
        platform.add_tool(workflow, f"tool-{workflow}", prompt_registry_id=self.executor.service.export(FIELDS))
        platform.create_api_deployment(workflow, "extract")
        return Tenant(self, platform)

    def kill(self, worker: str = "file-processing") -> None:
        self.stack.fleet.workers[worker].kill()

    def start(self, worker: str = "file-processing", **variables: str) -> None:
        """Start a worker, with these variables besides its own until it is started again."""
        process = self.stack.fleet.workers[worker].process
        own = process.environment
        process.environment = {**own, **variables}
        try:
            self.stack.fleet.workers[worker].start()
        finally:
            process.environment = own

    def ready(self, worker: str = "file-processing") -> None:
        self.stack.fleet.workers[worker].wait_ready()

    @contextlib.contextmanager
    def impatient(self) -> Iterator[None]:
        """Requests that are sent within the block are answered soon or never."""
        self.kill()
        self.start(EXECUTOR_RESULT_TIMEOUT="8", WORKER_EXECUTOR_UNSENT_TIMEOUT="3")
        self.ready()
        try:
            yield
        finally:
            self.kill()
            self.start()
            self.ready()

    def waiting(self, queue: str) -> int:
        """How many messages wait in a queue."""
        if self.rabbit is None:
            with self.stack.redis.client() as client:
                return int(client.llen(queue))
        depths = dict(line.split() for line in self.rabbit.control("list_queues", "name", "messages").splitlines())
        return int(depths.get(queue, 0))

    def said(self, text: str, worker: str = "file-processing") -> int:
        """How often a worker logged a text."""
        log = self.stack.fleet.workers[worker].process.log_path
        return log.read_text(errors="replace").count(text)

    def died_at(self, point: str) -> None:
        """Returns once a file worker that was started to die at a crash point did so."""
        process = self.stack.fleet.workers["file-processing"].process
        assert wait_until(lambda: self.said(f"crash point {point} reached") > 0, seconds=SECONDS)
        assert process.wait(seconds=30)

    def kept_for_ever(self, execution_id: str) -> list[str]:
        """What the ledger holds of a run without an end."""
        with self.stack.redis.client() as client:
            found = sorted(client.scan_iter(f"uw:{{{execution_id}}}:*"))
            return [key for key in found if client.ttl(key) < 0]

    def purge(self, queue: str) -> None:
        """Lose what waits in a queue."""
        if self.rabbit is not None:
            self.rabbit.control("purge_queue", queue)
            return
        with self.stack.redis.client() as client:
            client.delete(queue)


@define
class Tenant:
    """An organization with an API deployment."""

    fleet: Fleet
    platform: Platform

    def send(self, *names: str) -> str:
        uploads = []
        for number, name in enumerate(names):
            path = self.fleet.folder / f"{next(self.fleet.numbers)}-{name}"
            path.write_text(f"Total: {number}.00\n{name}")
            uploads.append(Upload(path, name, path.stat().st_size))
        sent: list[str] = []

        def send() -> bool:
            try:
                sent.append(self.platform.send_files("extract", uploads, use_file_history=False))
            except CallFailed as error:
                if "the broker did not take" not in str(error):
                    raise
            return bool(sent)

        assert wait_until(send, seconds=30)  # the backend's own connections may be of before RabbitMQ's restart
        return sent[0]

    def ended(self, execution_id: str, seconds: float = SECONDS) -> ExecutionRow:
        wait_until(lambda: self.platform.execution(execution_id).status in TERMINAL, seconds=seconds, pause=0.1)
        return self.platform.execution(execution_id)

    def whole(self, execution_id: str, number: int) -> None:
        """The execution completed, every file with its result."""
        row = self.ended(execution_id)
        assert (row.status, row.total, row.successful, row.failed) == ("COMPLETED", number, number, 0)
        items = self.platform.results("extract", execution_id).items
        assert sorted(item["file"] for item in items) == sorted(file.name for file in row.files)
        assert all(item["status"] == "Success" and item["result"] for item in items)

    def command(self, worker: str, *arguments: str) -> tuple[int, Any]:
        """A worker's command with --json, as an operator types it: its exit code and what it printed."""
        environment = {**inherited_environment(), **self.fleet.stack.environment}
        command = [sys.executable, "-m", f"unstract_worker_{worker}", *arguments, "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
        assert "canary-of-the-store" not in done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout)

    def reason(self, execution_id: str) -> str:
        """Why the run waits, as `runs` says; empty before the ledger knows the run."""
        with self.fleet.stack.redis.client() as redis:
            view = Operator(redis).view(execution_id)
            return why_it_waits(view, LiveFleet(redis).members()) if view else ""

    def extractions(self, execution_id: str) -> Counter[str]:
        return self.fleet.bill.per_file(execution_id)

    def sent(self, execution_id: str, number: int = 1, *, name: str | None = None) -> None:
        """Returns once the executor extracted so many files, of this name or of any."""

        def extracted() -> int:
            lines = (line for line in self.fleet.bill.lines() if line["execution"] == execution_id)
            return sum(name in (None, line["name"]) for line in lines)

        assert wait_until(lambda: extracted() >= number, seconds=SECONDS)


@pytest.fixture(scope="session")
def fleet_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Fleet]]:
    """A fleet on a broker of this name, shared by all tests."""
    with contextlib.ExitStack() as parts:
        running: dict[str, Fleet] = {}

        def on(name: str) -> Fleet:
            if name not in running:
                folder = tmp_path_factory.mktemp(name)
                store = parts.enter_context(running_object_store(folder / "store"))
                rabbit = parts.enter_context(running_rabbitmq(folder / "rabbitmq")) if name == "rabbitmq" else None
                broker_url, storage = rabbit.url if rabbit else None, store.variable
                stack = parts.enter_context(
                    running_stack(folder, settings=SETTINGS, broker_url=broker_url, executor=True, storage=storage)
                )
                running[name] = Fleet(stack, store, folder, itertools.count(1), rabbit)
            return running[name]

        yield on


@pytest.fixture(params=["redis", "rabbitmq"])
def fleet(request: pytest.FixtureRequest, fleet_on: Callable[[str], Fleet]) -> Fleet:
    return fleet_on(request.param)


@pytest.fixture
def tenant(fleet: Fleet) -> Tenant:
    return fleet.tenant()


@pytest.fixture
def redis_tenant(fleet_on: Callable[[str], Fleet]) -> Tenant:
    return fleet_on("redis").tenant()


@pytest.fixture
def rabbit_tenant(fleet_on: Callable[[str], Fleet]) -> Tenant:
    return fleet_on("rabbitmq").tenant()


@pytest.fixture
def broker(rabbit_tenant: Tenant) -> Iterator[str]:
    """A virtual host of its own."""
    rabbitmq, name = rabbit_tenant.fleet.rabbitmq, f"executor-{os.urandom(4).hex()}"
    rabbitmq.control("add_vhost", name)
    rabbitmq.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
    yield f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}/{name}"
    rabbitmq.control("delete_vhost", name)
