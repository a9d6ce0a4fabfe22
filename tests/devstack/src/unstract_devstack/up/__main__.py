"""Starts the stack, says how to use it, and waits for a signal to end."""

import argparse
import contextlib
import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TextIO

from unstract_devstack.fleet import WORKERS
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.page import running_page
from unstract_devstack.processes import ProcessError
from unstract_devstack.stack import Stack, running_stack
from unstract_devstack.up.example import Example, set_up_example
from unstract_devstack.up.guide import addresses, curl_lines, worker_lines, write_environment_file
from unstract_devstack.up.page_sources import page_sources

WATCH_SECONDS = 0.5


class Told(BaseException):
    """Somebody asked the stack to end: SIGTERM or SIGINT."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Keeps the stack up until SIGINT or SIGTERM; returns 0, or 1 if it did not come up."""
    options = _options(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    try:
        with _directory(options.data) as directory, _stack(directory, workers=options.workers) as stack:
            example = set_up_example(stack)
            with running_page(page_sources(stack, example)) as page:
                _tell(stack, example, addresses(stack, page.url), as_json=options.json, quiet=options.quiet)
                _watch(stack, until_input_ends=options.json)
    except Told:
        return 0
    except (ProcessError, CallFailed) as error:
        _say(f"up: {error}", sys.stderr)
        return 1
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m unstract_devstack.up", description=__doc__)
    parser.add_argument(
        "--no-workers",
        dest="workers",
        action="store_false",
        help="only Redis, the reference backend and the webhook sink",
    )
    parser.add_argument("--data", type=Path, help="keep data and logs in this folder")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON line with the workers' environment, and end when standard input ends",
    )
    parser.add_argument("--quiet", action="store_true", help="do not explain how to use the stack")
    return parser.parse_args(arguments)


@contextlib.contextmanager
def _directory(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="unstract-up-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)


def _stack(directory: Path, *, workers: bool) -> contextlib.AbstractContextManager[Stack]:
    return running_stack(directory, workers=WORKERS if workers else ())


def _tell(stack: Stack, example: Example, places: Mapping[str, str], *, as_json: bool, quiet: bool) -> None:
    """Prints what there is and how to use it; in JSON mode the people's part goes to standard error."""
    environment_file = stack.directory / "worker.env"
    write_environment_file(environment_file, stack.environment)
    lines = ["The stack is up.", ""]
    lines += [f"  {name:<24} {address}" for name, address in places.items()]
    lines += ["", f"The environment of a worker (also in {environment_file}):", ""]
    lines += [f"  {line}" for line in environment_file.read_text(encoding="utf-8").splitlines()]
    lines += ["", "To start a worker by hand, each in a shell of its own:", ""]
    lines += [f"  {line}" for line in worker_lines(environment_file)]
    for title, line in curl_lines(stack, example):
        lines += ["", f"To {title}:", "", f"  {line}"]
    lines += ["", "Ctrl-C ends everything."]
    if not quiet:
        _say("\n".join(lines), sys.stderr if as_json else sys.stdout)
    if as_json:
        _say(json.dumps({"environment": dict(stack.environment), "addresses": dict(places)}), sys.stdout)


def _watch(stack: Stack, *, until_input_ends: bool) -> None:
    """Waits for ever, and reports every worker that ended meanwhile."""
    gone: set[str] = set()
    while not _input_ended(until_input_ends=until_input_ends):
        for worker in stack.fleet.workers.values():
            if not worker.running and worker.name not in gone:
                gone.add(worker.name)
                _say(str(worker.process.failure("ended")), sys.stderr)


def _input_ended(*, until_input_ends: bool) -> bool:
    """Waits a moment; whether standard input has ended meanwhile. What comes in is not of interest."""
    if not until_input_ends:
        time.sleep(WATCH_SECONDS)
        return False
    # The descriptor itself: a thread inside sys.stdin would hold up the interpreter's end.
    descriptor = sys.stdin.fileno()
    readable, _, _ = select.select([descriptor], [], [], WATCH_SECONDS)
    return bool(readable) and not os.read(descriptor, 4096)


def _say(text: str, stream: TextIO) -> None:
    stream.write(f"{text}\n")
    stream.flush()


def _end(number: int, frame: FrameType | None) -> None:
    """Leaves by the same way as an exception, so that everything started is ended; a second signal is not heard."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise Told


if __name__ == "__main__":
    sys.exit(main())
