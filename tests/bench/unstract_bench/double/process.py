"""The double as a child of the harness, and how the harness speaks with it."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from unstract_devstack.http_calls import call_json
from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until

__all__ = ["Counts", "DoubleProcess", "running_double"]

START_SECONDS = 20.0
WAIT_SECONDS = 120.0


@frozen
class Counts:
    """What was called since the last reset, by worker and route, how long the phase of the files took, and
    the seconds between each worker's first and last answer."""

    calls: Mapping[str, Mapping[str, int]]
    phase_seconds: float | None
    spans: Mapping[str, float]

    @property
    def total(self) -> int:
        """All calls."""
        return sum(sum(routes.values()) for routes in self.calls.values())


@frozen
class DoubleProcess:
    """A running double."""

    port: int
    process: ManagedProcess

    def url(self, worker: str) -> str:
        """The root of the internal API, as this worker is told it: the double counts by the first segment."""
        return f"http://127.0.0.1:{self.port}/{worker}/internal"

    def reset(self) -> None:
        """Forget everything."""
        self._do("reset")

    def latencies(self, *, execute: float, other: float) -> None:
        """Answer after so many seconds from now on."""
        self._do("latencies", execute=execute, other=other)

    def open(self, execution_id: str, workflow_id: str, *, kind: str, files: int, batches: int) -> None:
        """Know an execution: `kind` is api or etl; it is to be made into `batches` at most."""
        self._do("open", id=execution_id, workflow_id=workflow_id, kind=kind, files=files, batches=batches)

    def wait_over(self, execution_id: str) -> Mapping[str, Any]:
        """Returns once the execution's terminal status was written, with what was written.

        Raises CallFailed after two minutes.
        """
        told: Mapping[str, Any] = self._do("wait", execution=execution_id)
        return told

    def wait_calls(self, worker: str, calls: int) -> None:
        """Returns once so many calls of the worker were answered. Raises CallFailed after two minutes."""
        self._do("wait", worker=worker, calls=calls)

    def counts(self) -> Counts:
        """The counts since the last reset."""
        told = self._do("counts")
        return Counts(told["calls"], told["phase_seconds"], told["spans"])

    def _do(self, what: str, **order: Any) -> Any:
        url = f"http://127.0.0.1:{self.port}/bench"
        return call_json("POST", url, payload={"do": what, **order}, timeout=WAIT_SECONDS)


@contextlib.contextmanager
def running_double(directory: Path) -> Iterator[DoubleProcess]:
    """A double with the latencies of the real-shape load, until the block is left."""
    output = directory / "double.port"
    process = ManagedProcess(
        name="backend double",
        command=(sys.executable, "-m", "unstract_bench.double"),
        environment=inherited_environment(),
        log_path=directory / "double.log",
        output_path=output,
    )
    try:
        process.start()
        if not wait_until(lambda: not process.running or b"\n" in output.read_bytes(), seconds=START_SECONDS):
            raise process.failure("did not say that it serves")
        if not process.running:
            raise process.failure("ended while it was starting")
        yield DoubleProcess(int(output.read_text(encoding="ascii")), process)
    finally:
        process.stop()
