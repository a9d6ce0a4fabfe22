"""What is sent to the platform: organizations with an API deployment, executions of known files, pipelines."""

import random
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from attrs import define, field

from unstract_devstack.extraction import Field
from unstract_devstack.faults.checker import Sent
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import Platform
from unstract_devstack.stack import Stack

BATCHES = 4
TOTAL = (Field(name="total", pattern=r"Total:\s*([\d.]+)"),)


@define
class Tenant:
    """One organization with one API deployment of a `workflow`, whose `hooks` are the sink's."""

    platform: Platform
    folder: Path
    workflow: str
    hooks: Sequence[str]
    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _number: int = field(default=0, init=False)

    @property
    def organization(self) -> str:
        return self.platform.organization

    def api(self, good: int, bad: int = 0, **expected: Any) -> Sent:
        """Sends an execution of so many different files. `expected`: what differs from `Sent`'s defaults.

        Raises:
            CallFailed: the platform did not take it.
        """
        return self.send(self.names("t", good) + self.names("bad", bad), **expected)

    def send(self, names: Sequence[str], *, doomed: Sequence[str] = (), history: bool = False, **expected: Any) -> Sent:
        """The same with files of these names, in this order: those that begin with "bad" cannot be worked on."""
        files = [self.file(self.folder, name, broken=name.startswith("bad")) for name in names]
        execution_id = self.platform.send_files("extract", files, use_file_history=history)
        bad = [name for name in names if name.startswith("bad")]
        good = [name for name in names if name not in bad and name not in doomed]
        counts = {"bad": len(bad), "doomed": frozenset(doomed), "subscribers": len(self.hooks)}
        return self.expect(execution_id, good, **{**counts, **expected})

    def etl(self, good: int, **expected: Any) -> Sent:
        """Runs a new pipeline over a new folder with so many files, as a person does.

        Raises:
            CallFailed: the platform did not take it.
        """
        pipeline, names = self.pipeline(good)
        return self.expect(str(self.platform.trigger(pipeline)), names, **expected)

    def pipeline(self, good: int) -> tuple[str, list[str]]:
        """A new pipeline over a new folder: its id and the names of its files."""
        names = self.names("e", good)
        source = self.folder / f"source-{uuid4().hex[:8]}"
        source.mkdir()
        for name in names:
            self.file(source, name)
        table = f"t_{uuid4().hex[:8]}"
        workflow = self.platform.create_workflow(
            table, "etl", (), source_folder=str(source), destination_table=table, max_files=2000
        )
        return self.platform.create_pipeline(workflow, table), names

    def names(self, prefix: str, number: int) -> list[str]:
        """So many names that were not used before."""
        with self._lock:
            first = self._number
            self._number += number
        return [f"{prefix}{first + each}.{'pdf' if prefix == 'bad' else 'txt'}" for each in range(number)]

    def file(self, folder: Path, name: str, *, broken: bool = False) -> Upload:
        """A file of its own content; a broken one can be stored but not worked on."""
        path = folder / name
        path.write_text(f"%PDF-1.4 {name} is none" if broken else f"Total: 1\n{self.organization} {name}\n")
        return Upload.of(path)

    def expect(self, execution_id: str, good: list[str], **expected: Any) -> Sent:
        """What is expected of an execution of this organization."""
        return Sent(execution_id, self.organization, frozenset(good), **expected)


def new_tenant(
    place: Stack, *, subscribers: int = 1, name: str | None = None, batches: int = BATCHES, **settings: Any
) -> Tenant:
    """A fresh organization with the API deployment `extract`, whose workflow has these settings."""
    name = name or f"org_{uuid4().hex[:12]}"
    folder = place.directory / "files" / name
    folder.mkdir(parents=True)
    platform = place.backend.platform(name)
    platform.set_up_organization()
    workflow = platform.create_workflow("extract", "api", TOTAL, **settings)
    api = platform.create_api_deployment(workflow, "extract")
    hooks = [f"{place.sink.url}/hooks/{name}/{number}" for number in range(subscribers)]
    for hook in hooks:
        platform.notify(hook, api_id=api)
    platform.configure("MAX_PARALLEL_FILE_BATCHES", batches)
    return Tenant(platform, folder, workflow, hooks)


class Feeder(threading.Thread):
    """Sends executions of random sizes, one after the other over some time; `sent` are those that were taken.

    One that the platform does not take (its broker is away) is sent again: only what was taken counts.
    """

    def __init__(self, tenant: Tenant, seed: int, executions: int, seconds: float, most_files: int) -> None:
        super().__init__(name="feeder", daemon=True)
        self.sent: list[Sent] = []
        self._tenant, self._chance = tenant, random.Random(f"load {seed}")
        self._executions, self._seconds, self._most_files = executions, seconds, most_files

    def run(self) -> None:
        pause = threading.Event()
        for number in range(self._executions):
            files = self._chance.randint(1, self._most_files)
            send = self._tenant.etl if number % 3 == 2 else self._tenant.api
            while True:
                try:
                    self.sent.append(send(files))
                    break
                except CallFailed:
                    pause.wait(0.5)
            pause.wait(self._seconds / self._executions)
