"""The double as a child of the harness, and how the harness speaks with it."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from unstract_bench.double.calls import Call, Calls
from unstract_devstack.http_calls import call_json
from unstract_devstack.processes import ManagedProcess, inherited_environment

START_SECONDS, WAIT_SECONDS = 20.0, 120.0


@frozen
class DoubleProcess:
    """A running double."""

    port: int
    process: ManagedProcess

    def url(self, worker: str) -> str:
        """The root of the internal API for this worker: the double tells workers apart by the first segment."""
        return f"http://127.0.0.1:{self.port}/{worker}/internal"

    def reset(self, *, record: bool = False) -> None:
        """Forget everything. `record`: keep the calls' bodies from now on, until the next reset."""
        self._order("reset", record=record)

    def latencies(self, *, execute: float, other: float) -> None:
        """Answer after so many seconds from now on: `execute-file/`, and everything else."""
        self._order("latencies", execute=execute, other=other)

    def open(self, execution_id: str, workflow_id: str, *, kind: str, files: int, batches: int) -> None:
        """Register an execution: `kind` is api or etl; `batches`: at most so many."""
        self._order("open", id=execution_id, workflow_id=workflow_id, kind=kind, files=files, batches=batches)

    def wait_over(self, execution_id: str, *, seconds: float = WAIT_SECONDS) -> Mapping[str, Any]:
        """Wait until the execution's terminal status was written and that call answered.

        Returns:
            The written status and counts, and `over_at`: when the answer was sent (monotonic clock).

        Raises:
            CallFailed: the execution did not end within `seconds`.
        """
        over: Mapping[str, Any] = self._order("wait", seconds, execution=execution_id)
        return over

    def wait_calls(self, worker: str, calls: int) -> None:
        """Wait until so many calls of the worker were answered. Raises CallFailed after two minutes."""
        self._order("wait", worker=worker, calls=calls)

    def calls(self) -> Calls:
        """The calls that were answered since the last reset."""
        return Calls(tuple(Call(*each) for each in self._order("calls")))

    def _order(self, what: str, seconds: float = WAIT_SECONDS, /, **order: Any) -> Any:
        url = f"http://127.0.0.1:{self.port}/bench"
        return call_json("POST", url, payload={"do": what, **order}, timeout=seconds)


@contextlib.contextmanager
def running_double(directory: Path) -> Iterator[DoubleProcess]:
    """A double with the latencies of the usual load, until the block is left."""
    output, command = directory / "double.port", (sys.executable, "-m", "unstract_bench.double.server")
    process = ManagedProcess("backend double", command, inherited_environment(), directory / "double.log", output)
    with process.serving(lambda: b"\n" in output.read_bytes(), seconds=START_SECONDS):
        yield DoubleProcess(int(output.read_text(encoding="ascii")), process)
