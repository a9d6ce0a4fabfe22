"""Starts the stack, says how to use it in lines that can be pasted into a shell, and waits for a signal to end."""

import argparse
import json
import os
import select
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from unstract_devstack.fleet import WORKERS
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.page import running_page
from unstract_devstack.ports import free_port
from unstract_devstack.processes import EndAsked, ProcessError, kept_folder, raise_on_signals
from unstract_devstack.samples import API_NAME, DOCUMENTS, TABLE, set_up_samples
from unstract_devstack.stack import Stack, running_stack
from unstract_devstack.up.page_sources import ORGANIZATION, page_sources

SAMPLE = "invoice-lumen.pdf"
WAIT_SECONDS = 60
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
            platform = stack.backend.platform(ORGANIZATION)
            platform.set_up_organization()
            pipeline_id = set_up_samples(platform, stack.sink.url)
            with running_page(page_sources(stack, pipeline_id)) as page:
                _tell(stack, pipeline_id, _addresses(stack, page.url), as_json=options.json, quiet=options.quiet)
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


def _tell(stack: Stack, pipeline_id: str, places: Mapping[str, str], *, as_json: bool, quiet: bool) -> None:
    """Prints what there is and how to use it; in JSON mode the people's part goes to standard error."""
    environment_file = stack.directory / "worker.env"
    environment_file.touch(mode=0o600)  # it holds the key
    exports = (f"export {name}={shlex.quote(value)}" for name, value in stack.environment.items())
    environment_file.write_text("\n".join(exports) + "\n", encoding="utf-8")
    lines = ["The stack is up.", ""]
    lines += [f"  {name:<24} {address}" for name, address in places.items()]
    lines += ["", f"The environment of a worker (also in {environment_file}):", ""]
    lines += [f"  {line}" for line in environment_file.read_text(encoding="utf-8").splitlines()]
    lines += ["", "To start a worker by hand, each in a shell of its own:", ""]
    lines += [f"  {line}" for line in _worker_lines(environment_file)]
    for title, line in _curl_lines(stack, pipeline_id):
        lines += ["", f"To {title}:", "", f"  {line}"]
    lines += ["", "Ctrl-C ends everything."]
    if not quiet:
        _say("\n".join(lines), sys.stderr if as_json else sys.stdout)
    if as_json:
        _say(json.dumps({"environment": dict(stack.environment), "addresses": dict(places)}), sys.stdout)


def _addresses(stack: Stack, page_url: str) -> dict[str, str]:
    found = {
        "live page": page_url,
        "internal API": f"{stack.backend.internal_url}/",
        "public face": f"{stack.backend.public_url}/deployment/api/",
        "dev API": f"{stack.backend.public_url}/dev/",
        "webhook sink": f"{stack.sink.url}/",
        "Redis and broker": stack.redis.url,
        "data and logs": str(stack.directory),
    }
    workers = stack.fleet.workers.values()
    return found | {f"worker {worker.name}": worker.health_url for worker in workers}


def _worker_lines(environment_file: Path) -> Iterator[str]:
    """One line for each worker that starts it by hand, in a shell of its own."""
    source = f". {shlex.quote(str(environment_file))}"
    python = shlex.quote(sys.executable)
    for kind in WORKERS:
        yield f"{source}; {kind.port_variable}={free_port()} {python} -m {kind.package} run"


def _curl_lines(stack: Stack, pipeline_id: str) -> Iterator[tuple[str, str]]:
    """Lines to try, each with what it does."""
    key = f"-H 'Authorization: Bearer {stack.backend.api_key}'"
    dev = f"{stack.backend.public_url}/dev"
    sample = shlex.quote(f"files=@{DOCUMENTS / SAMPLE}")
    api_url = stack.backend.platform(ORGANIZATION).api_url(API_NAME)
    yield "ask whether the internal API is there", f"curl -s {key} {stack.backend.internal_url}/v1/health/"
    yield "send a document and wait for its result", f"curl -s -F {sample} -F timeout={WAIT_SECONDS} {api_url}"
    yield (
        "send a document and not wait (the answer says where to ask for the result)",
        f"curl -s -F {sample} -F use_file_history=true {api_url}",
    )
    trigger = f'-d \'{{"how": "run"}}\' {dev}/pipelines/{pipeline_id}/trigger'
    yield "run the pipeline over the inbox", f"curl -s {key} -H 'Content-Type: application/json' {trigger}"
    yield "see all executions", f"curl -s {key} '{dev}/executions?organization_id={ORGANIZATION}'"
    yield "see what the pipeline wrote", f"curl -s {key} {dev}/destinations/{TABLE}"
    yield "see every effect so far", f"curl -s {key} {dev}/history"


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
