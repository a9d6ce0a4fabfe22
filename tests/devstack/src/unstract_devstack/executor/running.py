"""Starts the stand-ins, and gives the variables with which a file worker uses them."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import define, frozen

from unstract_devstack.executor.bill import Bill
from unstract_devstack.executor.platform_service import PlatformService, running_platform_service
from unstract_devstack.executor.storage import local, minio
from unstract_devstack.http_calls import CallFailed, call
from unstract_devstack.ports import HOST, free_port
from unstract_devstack.processes import ManagedProcess, inherited_environment

READY_SECONDS = 60.0
BUCKET = "unstract"
SECRET = "canary-of-the-store"
UPLOADS_PREFIX = "unstract/api"
FILES_PREFIX = f"{BUCKET}/execution"

EXECUTOR_VARIABLES = (
    "WORKER_FILE_EXECUTOR", "PLATFORM_SERVICE_HOST", "PLATFORM_SERVICE_PORT", "WORKFLOW_EXECUTION_DIR_PREFIX",
    "API_EXECUTION_DIR_PREFIX", "WORKFLOW_EXECUTION_FILE_STORAGE_CREDENTIALS", "API_FILE_STORAGE_CREDENTIALS",
    "EXECUTOR_RESULT_TIMEOUT", "WORKER_EXECUTOR_UNSENT_TIMEOUT", "WORKER_EXECUTOR_QUEUE_LIMIT",
)  # fmt: skip
"""Settings of a file worker about its executor."""


@frozen
class ObjectStore:
    """A running S3 stand-in."""

    url: str
    process: ManagedProcess
    buckets: tuple[str, ...] = (BUCKET,)

    def start(self) -> None:
        """Start it with empty buckets. Raises ProcessError."""
        self.process.start()
        self.process.await_ready(self._serves, seconds=READY_SECONDS)
        for bucket in self.buckets:
            call("PUT", f"{self.url}/{bucket}")

    def _serves(self) -> bool:
        try:
            return call("GET", self.url, timeout=2.0).status == 200
        except CallFailed:
            return False

    @property
    def variable(self) -> str:
        """How the platform's variables describe it."""
        return minio(self.url, secret=SECRET)


@define
class ExecutorStack:
    """The running stand-ins. `environment`: what makes file-processing use them."""

    process: ManagedProcess
    service: PlatformService
    bill: Bill
    environment: Mapping[str, str]

    def restart(self) -> None:
        """Start the executor again after it ended."""
        (self.bill.folder / "ready").unlink(missing_ok=True)
        self.process.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Returns when the executor takes requests. Raises ProcessError."""
        self.process.await_ready((self.bill.folder / "ready").exists, seconds=READY_SECONDS)


@contextlib.contextmanager
def running_object_store(directory: Path, *buckets: str, host: str = HOST) -> Iterator[ObjectStore]:
    """An S3 stand-in with these buckets, until the block ends. `host`: the address that it listens on."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    buckets = buckets or (BUCKET,)
    command = [sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)]
    process = ManagedProcess("object store", command, inherited_environment(), directory / "object-store.log")
    store = ObjectStore(f"http://{host}:{port}", process, buckets)
    try:
        store.start()
        yield store
    finally:
        process.stop()


@contextlib.contextmanager
def running_executor(
    directory: Path,
    *,
    broker_url: str,
    backend_url: str,
    api_key: str,
    uploads: str,
    storage: str | None = None,
    host: str = HOST,
) -> Iterator[ExecutorStack]:
    """The executor's process and platform-service, until the block ends.

    Args:
        directory: where bill, faults and logs go.
        uploads: the store that the reference backend stages uploads in.
        storage: the store of executions' files; None: a folder.
        host: the address that platform-service listens on.
    """
    bill = Bill(directory / "executor")
    bill.prepare()
    storage = storage or local(directory / "files")
    environment = inherited_environment() | {
        "EXECUTOR_BROKER_URL": broker_url, "TEMPORARY_REMOTE_STORAGE": storage, "EXECUTOR_FOLDER": str(bill.folder),
        "INTERNAL_API_BASE_URL": backend_url, "INTERNAL_SERVICE_API_KEY": api_key,
    }  # fmt: skip
    command = [sys.executable, "-m", "unstract_devstack.executor.worker"]
    process = ManagedProcess("executor", command, environment, bill.folder / "executor.log")
    with running_platform_service(host) as service:
        stack = ExecutorStack(process, service, bill, _environment(service, uploads, storage))
        with process.serving((bill.folder / "ready").exists, seconds=READY_SECONDS):
            yield stack


def _environment(service: PlatformService, uploads: str, storage: str) -> dict[str, str]:
    host, _, port = service.url.rpartition(":")
    return {
        "WORKER_FILE_EXECUTOR": "platform",
        "PLATFORM_SERVICE_HOST": host,
        "PLATFORM_SERVICE_PORT": port,
        "WORKFLOW_EXECUTION_DIR_PREFIX": FILES_PREFIX,
        "API_EXECUTION_DIR_PREFIX": UPLOADS_PREFIX,
        "WORKFLOW_EXECUTION_FILE_STORAGE_CREDENTIALS": storage,
        "API_FILE_STORAGE_CREDENTIALS": uploads,
    }
