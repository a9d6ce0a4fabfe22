"""What the live page shows of a stack, and what its buttons start."""

import sqlite3
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from attrs import frozen

from unstract_devstack.http_calls import CallFailed, call_json
from unstract_devstack.multipart import Upload
from unstract_devstack.page import Sources
from unstract_devstack.page.backend_rows import BackendRows
from unstract_devstack.page.ledger_keys import LedgerKeys
from unstract_devstack.page.sources import Start, WorkerLine
from unstract_devstack.platform_client import Platform
from unstract_devstack.samples import API_NAME, DOCUMENTS
from unstract_devstack.stack import Stack

ORGANIZATION = "org_dev"
LOOK_SECONDS = 3.0


def page_sources(stack: Stack, pipeline_id: str) -> Sources:
    """Everything that the page of this stack reads, and starts of its two examples."""
    live = _Live(stack, pipeline_id)
    return Sources(
        backend=BackendRows(stack.directory / "backend" / "backend.sqlite3"),
        ledger=LedgerKeys.connect(stack.environment.get("WORKER_LEDGER_REDIS_URL", stack.redis.url)),
        log_events=live.log_events,
        deliveries=stack.sink.received,
        workers=live.workers,
        starts={
            "api": Start("Run API example", "Sends the sample documents to the API deployment", live.send),
            "etl": Start("Run ETL example", "Runs the pipeline over the sample inbox", live.trigger),
        },
        upload=live.upload,
        actions={"retry": live.retry, "abort": live.abort},
    )


@frozen
class _Live:
    stack: Stack
    pipeline_id: str

    def log_events(self, channel: str) -> Sequence[Any]:
        backend = self.stack.backend
        url = f"{backend.public_url}/dev/logs?channel={quote(channel, safe='')}"
        events = call_json("GET", url, key=backend.api_key, timeout=LOOK_SECONDS)
        return events if isinstance(events, list) else []

    def workers(self) -> Sequence[WorkerLine]:
        workers = self.stack.fleet.workers.values()
        return [WorkerLine(worker.name, worker.running, worker.health_url) for worker in workers]

    def send(self) -> str:
        # The platform refuses a call with an empty file.
        paths = sorted(path for path in DOCUMENTS.iterdir() if path.is_file() and path.stat().st_size)
        uploads = list(map(Upload.of, paths))
        return self._platform().send_files(API_NAME, uploads, use_file_history=False)

    def trigger(self) -> str | None:
        return self._platform().trigger(self.pipeline_id)

    def upload(self, files: Sequence[tuple[str, bytes]]) -> str:
        parts = [("files", file) for file in files]
        return self._platform().send_parts(API_NAME, parts)

    def retry(self, line: sqlite3.Row) -> str | None:
        """The same run again: the files that the platform stored, or the pipeline."""
        platform = self._platform(line["organization"])
        if line["kind"] != "API":
            return platform.trigger(line["pipeline_id"])
        folder = (
            self.stack.directory
            / "backend"
            / "unstract"
            / "api"
            / line["organization"]
            / line["workflow_id"]
            / line["id"]
        )
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
        if not paths:
            raise CallFailed("it has no stored file that could be sent again")
        parts = [("files", (path.name, path.read_bytes())) for path in paths]
        return platform.send_parts(line["deployment"], parts)

    def abort(self, line: sqlite3.Row) -> None:
        self._platform(line["organization"]).stop(line["id"])

    def _platform(self, organization: str = ORGANIZATION) -> Platform:
        return self.stack.backend.platform(organization)
