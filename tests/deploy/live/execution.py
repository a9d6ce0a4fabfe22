"""The platform's side of the trial: the reference backend on this machine, and executions that go through the fleet."""

import contextlib
import secrets
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import field, frozen
from unstract_images.running import ImagesError, say

from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import ExecutionRow, Platform
from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until
from unstract_devstack.samples import DOCUMENTS, INBOX, Expectations, ExpectedFile, load_expectations

__all__ = ["ORGANIZATION", "Trial", "running_backend"]

ORGANIZATION = "org_images"
API_NAME = "documents"
TERMINAL = ("COMPLETED", "ERROR", "STOPPED")
START_SECONDS = 30.0
RUN_SECONDS = 120.0
# Long enough for a rolling update to happen in the middle.
FILE_SECONDS = "2"


@frozen
class Trial:
    """An API deployment and a pipeline that are there to be run. `documents`: the API deployment's workflow."""

    platform: Platform = field(repr=False)
    expected: Expectations
    pipeline: str
    documents: str

    def start_api(self) -> str:
        """Sends all sample documents; the execution's id."""
        names = self.expected.documents
        uploads = [Upload(DOCUMENTS / name, name, (DOCUMENTS / name).stat().st_size) for name in names]
        return self.platform.send_files(API_NAME, uploads, use_file_history=False)

    def finish_api(self, execution: str) -> None:
        """Waits for an API run's end and compares every file. Raises ImagesError."""
        row = self._ended(execution, "API deployment", self.expected.documents)
        items = {str(item["file"]): str(item["status"]) for item in self.platform.results(API_NAME, row.id).items}
        wanted = {name: file.status for name, file in self.expected.documents.items()}
        if items != wanted:
            raise ImagesError(f"the API's results are {items} instead of {wanted}")

    def run_pipeline(self) -> None:
        """Runs the pipeline to its end and compares the counts. Raises ImagesError."""
        execution = self.platform.trigger(self.pipeline)
        if execution is None:
            raise ImagesError("the backend started the pipeline without an execution")
        self._ended(execution, "ETL pipeline", self.expected.inbox)

    def _ended(self, execution: str, title: str, files: Mapping[str, ExpectedFile]) -> ExecutionRow:
        good = sum(file.status == "Success" for file in files.values())
        wait_until(lambda: self.platform.execution(execution).status in TERMINAL, seconds=RUN_SECONDS, pause=0.5)
        row = self.platform.execution(execution)
        reported = (row.status, row.total, row.successful, row.failed)
        if reported != ("COMPLETED", len(files), good, len(files) - good):
            raise ImagesError(f"{title}: status, total, successful and failed are {reported} ({row.error})")
        say(f"{title}: {row.status}, {row.successful} of {row.total} files, {row.failed} failed as they should")
        return row


@contextlib.contextmanager
def running_backend(
    folder: Path, *, gateway: str, port: int, redis: str, key: str, uploads: str | None = None
) -> Iterator[Trial]:
    """The reference backend where the workers look for it, with something to run; `redis` is its URL for both.

    `uploads`: API_FILE_STORAGE_CREDENTIALS of a store that uploads are put into, for workers that read them there.
    """
    folder.mkdir()
    (folder / "key").write_text(key, encoding="utf-8")
    stored: tuple[str, ...] = ()
    if uploads is not None:
        (folder / "uploads-store").write_text(uploads, encoding="utf-8")
        stored = ("--uploads-store-file", str(folder / "uploads-store"))
    addresses = ("--host", gateway, "--port", str(port), "--broker-url", redis, "--redis-url", redis)
    process = ManagedProcess(
        name="reference backend",
        command=(
            *(sys.executable, "-m", "unstract_devstack.backend", "--data", str(folder), *addresses),
            # What workers do with empty and equal files is tried too; today's platform does not pass them on.
            *("--api-key-file", str(folder / "key"), "--file-delay", FILE_SECONDS, "--upload-rules", "none"),
            *stored,
        ),
        environment={**inherited_environment(), "PYTHONUNBUFFERED": "1"},
        log_path=folder / "backend.log",
        output_path=folder / "backend.ready",
    )
    process.start()
    try:
        ready = folder / "backend.ready"
        wait_until(lambda: not process.running or b"\n" in ready.read_bytes(), seconds=START_SECONDS)
        if not process.running or not ready.read_bytes():
            raise ImagesError(str(process.failure("does not serve")))
        yield _prepared(Platform(f"http://{gateway}:{port}", key, ORGANIZATION))
    finally:
        process.stop()


def _prepared(platform: Platform) -> Trial:
    expected = load_expectations()
    platform.set_up_organization()
    platform.configure("MAX_PARALLEL_FILE_BATCHES", 4)
    documents = platform.create_workflow("documents", "api", expected.fields)
    platform.create_api_deployment(documents, API_NAME)
    table = f"results_{secrets.token_hex(4)}"
    inbox = platform.create_workflow("inbox", "etl", expected.fields, source_folder=str(INBOX), destination_table=table)
    return Trial(platform, expected, platform.create_pipeline(inbox, "inbox"), documents)
