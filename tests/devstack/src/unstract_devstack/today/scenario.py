"""What is asked of every fleet, and what its callers see of it."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from unstract_devstack.extraction import Field
from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import Platform
from unstract_devstack.processes import wait_until

TERMINAL = ("COMPLETED", "ERROR", "STOPPED")
SECONDS = 240.0
FIELDS = (Field(name="total", pattern=r"Total:\s*([\d.]+)"),)
MIXED = {
    "a.txt": b"Invoice\nTotal: 12.50\n",
    "b.csv": b"item,price\npen,1\ncup,2\n",
    "broken.pdf": b"%PDF-1.4 this is no pdf",
    "c.json": b'{"total": 3}',
    "empty.txt": b"",
}
BROKEN = {"x.pdf": b"%PDF nothing", "y.pdf": b"%PDF neither"}
_NUMBERS = itertools.count(1)


@frozen
class Item:
    """One entry of the API caller's list, without what differs from run to run: ids and times."""

    file: str
    status: str
    output: str
    error: str | None
    has_row: bool
    metadata: tuple[str, ...]


@frozen
class Seen:
    """An execution as its caller sees it."""

    status: str
    total: int
    successful: int
    failed: int
    executed: int
    items: tuple[Item, ...] = ()
    written: tuple[str, ...] = ()


@frozen
class Tenant:
    """One fresh organization on a ground."""

    platform: Platform
    folder: Path
    _tables: "itertools.count[int]" = field(factory=itertools.count)

    def _upload(self, name: str, content: bytes) -> Upload:
        path = self.folder / name
        path.write_bytes(content)
        return Upload.of(path)

    def api(self, name: str = "extract", **settings: Any) -> None:
        """An API deployment of that name."""
        self.platform.create_api_deployment(self.platform.create_workflow(name, "api", FIELDS, **settings), name)

    def send(self, files: Mapping[str, bytes], *, name: str = "extract", history: bool = False) -> str:
        """Start an execution of these files; its id."""
        uploads = [self._upload(file, content) for file, content in files.items()]
        return self.platform.send_files(name, uploads, use_file_history=history)

    def etl(self, files: Mapping[str, bytes]) -> tuple[str, str]:
        """A pipeline over a new folder: its id and its table."""
        table = f"t{next(self._tables)}_{self.platform.organization}"
        source = self.folder / table
        source.mkdir()
        for name, content in files.items():
            (source / name).write_bytes(content)
        workflow = self.platform.create_workflow(table, "etl", (), source_folder=str(source), destination_table=table)
        return self.platform.create_pipeline(workflow, table), table

    def scheduled(self) -> Seen:
        """A new pipeline's run by schedule, once it has ended. It must make one execution."""
        before = {row.id for row in self.platform.executions()}
        pipeline, table = self.etl({"s.txt": b"Total: 9"})
        self.platform.trigger(pipeline, how="schedule")
        wait_until(lambda: len(self.platform.executions()) > len(before), seconds=SECONDS, pause=0.1)
        (created,) = {row.id for row in self.platform.executions()} - before
        return self.ended(created, table=table)

    def ended(self, execution_id: str, *, api: str | None = None, table: str = "") -> Seen:
        """What its caller sees of an execution, once it has ended; as it is if it does not."""
        wait_until(lambda: self.platform.execution(execution_id).status in TERMINAL, seconds=SECONDS, pause=0.1)
        row = self.platform.execution(execution_id)
        effects = self.platform.effects(execution_id)
        items = tuple(map(_item, self.platform.results(api, execution_id).items)) if api else ()
        written = tuple(sorted(self.platform.destination_paths(table))) if table else ()
        executed = sum(effect.operation == "files.execute" for effect in effects)
        shown = (row.status, row.total, row.successful, row.failed, executed)
        return Seen(
            *shown, tuple(sorted(items, key=lambda item: item.file)), tuple(Path(path).name for path in written)
        )


def _item(item: Mapping[str, Any]) -> Item:
    output = json.dumps((item["result"] or {}).get("output"), sort_keys=True)
    metadata = tuple(sorted(item["metadata"]))
    return Item(item["file"], item["status"], output, item["error"], bool(item["file_execution_id"]), metadata)


def new_tenant(url: str, key: str, folder: Path) -> Tenant:
    """A fresh organization of the backend at `url`, two batches an execution."""
    organization = f"org_moving_{next(_NUMBERS)}"
    platform = Platform(url, key, organization)
    platform.set_up_organization()
    platform.configure("MAX_PARALLEL_FILE_BATCHES", 2)
    (folder / organization).mkdir()
    return Tenant(platform, folder / organization)


def everything(tenant: Tenant) -> dict[str, Seen]:
    """One of each: mixed files, a history hit, nothing but failures, a pipeline by hand and by schedule."""
    tenant.api("extract")
    tenant.api("again", use_file_history=True)
    by_hand, table = tenant.etl({"one.txt": b"Total: 1", "two.txt": b"Total: 2", "three.csv": b"a,b\n1,2\n"})
    first = tenant.send({"h.txt": b"Total: 7"}, name="again", history=True)
    mixed, failing = tenant.send(MIXED), tenant.send(BROKEN)
    pipeline = tenant.platform.trigger(by_hand) or ""
    seen = {
        "mixed": tenant.ended(mixed, api="extract"),
        "failing": tenant.ended(failing, api="extract"),
        "first": tenant.ended(first, api="again"),
        "pipeline": tenant.ended(pipeline, table=table),
    }
    again = tenant.send({"h.txt": b"Total: 7"}, name="again", history=True)
    seen["again"] = tenant.ended(again, api="again")
    seen["schedule"] = tenant.scheduled()
    return seen
