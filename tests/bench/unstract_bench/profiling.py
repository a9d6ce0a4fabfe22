"""A flame graph of the hot path: file-processing under the real-shape load, sampled by py-spy from outside."""

import subprocess
import sys
import time
from pathlib import Path

from unstract_bench.rig import running_rig, running_workers
from unstract_bench.rounds import Setting
from unstract_bench.workload import BATCHES, Load
from unstract_devstack.fleet import FILE_PROCESSING
from unstract_devstack.processes import ProcessError

SECONDS = 20


def profile(setting: Setting, target: Path) -> None:
    """Write the flame graph of who holds the interpreter to `target` (SVG), while executions run.

    Without stopping the process at each sample (that would stretch everything), so a few samples are unreadable.

    Raises ProcessError if py-spy may not look at the process (Linux: kernel.yama.ptrace_scope, or a container
    without CAP_SYS_PTRACE) or wrote nothing.
    """
    with (
        running_rig(setting.directory / "profile") as rig,
        running_workers(rig, file_slots=BATCHES) as fleet,
    ):
        rig.run(Load(files=BATCHES))
        pid = fleet.of(FILE_PROCESSING)[0].process.pid
        sampler = subprocess.Popen(_command(pid, target), stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + SECONDS
        while sampler.poll() is None and time.monotonic() < until:
            rig.run(Load())
        _, errors = sampler.communicate(timeout=SECONDS + 60)
    if sampler.returncode != 0 or not target.exists():
        why = errors.partition("Stack backtrace:")[0].strip()[-500:]
        raise ProcessError(f"py-spy wrote no flame graph to {target}: {why}")


def _command(pid: int, target: Path) -> tuple[str, ...]:
    py_spy = str(Path(sys.executable).parent / "py-spy")
    how = ("--gil", "--nonblocking", "--rate", "100", "--duration", str(SECONDS), "--format", "flamegraph")
    return (py_spy, "record", "--pid", str(pid), *how, "--output", str(target))
