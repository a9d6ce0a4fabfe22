"""Starts the stack, says how to use it, and waits for a signal to end."""

import argparse
import json
import os
import select
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from unstract_devstack.fleet import WORKERS
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.page import running_page
from unstract_devstack.processes import EndAsked, ProcessError, kept_folder, raise_on_signals
from unstract_devstack.stack import Stack, running_stack
from unstract_devstack.up.guide import (
    Example,
    addresses,
    curl_lines,
    set_up_example,
    worker_lines,
    write_environment_file,
)
from unstract_devstack.up.page_sources import page_sources

WATCH_SECONDS = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Keeps the stack up until SIGINT or SIGTERM; returns 0, or 1 if it did not come up."""
    options = _options(arguments)
    raise_on_signals()
    try:
        with (
            kept_folder(options.data, prefix="unstract-up-", known=True) as directory,
            running_stack(directory, workers=WORKERS if options.workers else ()) as stack,
        ):
            example = set_up_example(stack)
            with running_page(page_sources(stack, example)) as page:
                _tell(stack, example, addresses(stack, page.url), as_json=options.json, quiet=options.quiet)
                _watch(stack, until_input_ends=options.json)
    except EndAsked:
        return 0
    except (ProcessError, CallFailed) as error:
        _say(f"up: {error}", sys.stderr)
        return 1
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m unstract_devstack.up", description=__doc__)
    without = "only Redis, the reference backend and the webhook sink"
    parser.add_argument("--no-workers", dest="workers", action="store_false", help=without)
    parser.add_argument("--data", type=Path, help="keep data and logs in this folder")
    line = "print one JSON line with the workers' environment, and end when standard input ends"
    parser.add_argument("--json", action="store_true", help=line)
    parser.add_argument("--quiet", action="store_true", help="do not explain how to use the stack")
    return parser.parse_args(arguments)


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


if __name__ == "__main__":
    sys.exit(main())
