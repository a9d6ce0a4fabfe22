"""The command: arguments in, exit code out, and no process left behind whatever happens."""

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from unstract_devstack.demo.inputs import InputFault, Inputs, collect
from unstract_devstack.demo.report import Narrator, Report, show
from unstract_devstack.demo.runs import Session
from unstract_devstack.demo.scenes import run_own_files, run_samples, run_through_executor
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.processes import ProcessError, kept_folder
from unstract_devstack.stack import running_stack

ORGANIZATION = "org_demo"
PARALLEL_BATCHES = 4
FOLDER = "unstract-demo-"
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo; returns 0 if all is as it should be, 1 if not, 2 for unusable paths, 130 for Ctrl-C."""
    options = _options(arguments)
    started = time.monotonic()
    if options.paths and options.executor == "platform":
        sys.stderr.write("demo: --executor platform sends the sample documents, not your files\n")
        return 2
    try:
        inputs = collect(options.paths) if options.paths else None
    except InputFault as fault:
        sys.stderr.write(f"demo: {fault}\n")
        return 2
    narrator, report = Narrator.for_output(json=options.json), Report()
    signal.signal(signal.SIGTERM, _end_on_sigterm)
    try:
        _run(narrator, inputs, report, keep=options.keep, executor=options.executor == "platform")
    except KeyboardInterrupt:
        narrator.step("Interrupted; everything that was started has ended.")
        return INTERRUPTED
    except (ProcessError, CallFailed) as error:
        report.problems.append(str(error))
    report.seconds = time.monotonic() - started
    show(narrator.console, report)
    if options.json:
        sys.stdout.write(f"{json.dumps(report.as_json())}\n")
        sys.stdout.flush()
    return 0 if report.ok else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m unstract_devstack.demo",
        description="Documents through the four workers, a real Redis and a reference backend.",
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="your own files or folders")
    parser.add_argument(
        "--executor", choices=("backend", "platform"), default="backend",
        help="what executes the files: the reference backend, or a stand-in of the platform's executor worker",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="end standard output with one JSON object")
    parser.add_argument("--keep", action="store_true", help="keep the data and the logs, and say where")
    return parser.parse_args(arguments)


def _run(narrator: Narrator, inputs: Inputs | None, report: Report, *, keep: bool, executor: bool) -> None:
    kept = Path(tempfile.mkdtemp(prefix=FOLDER)) if keep else None
    with kept_folder(kept, prefix=FOLDER, known=True) as directory, contextlib.ExitStack() as last:
        if kept is not None:
            last.callback(narrator.step, f"Data and logs are kept in {kept}")
        narrator.step("Starting Redis, the reference backend and the four workers")
        began = time.monotonic()
        # What the workers do with empty and equal files is shown too; today's platform does not pass them on.
        with running_stack(directory, backend_options=("--upload-rules", "none"), executor=executor) as stack:
            narrator.step(f"All of them are ready after {time.monotonic() - began:.1f} s")
            platform = stack.backend.platform(ORGANIZATION)
            platform.set_up_organization()
            platform.configure("MAX_PARALLEL_FILE_BATCHES", PARALLEL_BATCHES)
            session = Session(stack, platform, narrator)
            if stack.executor is not None:
                run_through_executor(session, stack.executor, report)
            elif inputs is None:
                run_samples(session, report)
            else:
                _announce(narrator, inputs)
                run_own_files(session, inputs, report)


def _announce(narrator: Narrator, inputs: Inputs) -> None:
    """Which file goes under which name, where that is not plain."""
    for file in inputs.files:
        if file.name != file.path.name:
            narrator.step(f"  {file.path} is sent as {file.name}")
    for path in inputs.left_out:
        narrator.step(f"  {path} is left out: a link or a special file")


def _end_on_sigterm(number: int, frame: FrameType | None) -> None:
    """Leaves by the same way as an exception, so that everything started is ended."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
