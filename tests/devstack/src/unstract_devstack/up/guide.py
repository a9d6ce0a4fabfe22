"""What is set up in a stack that is kept up, and what to do with it, as lines that can be pasted into a shell."""

import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from unstract_devstack.fleet import WORKERS
from unstract_devstack.ports import free_port
from unstract_devstack.samples import DOCUMENTS, INBOX, load_expectations
from unstract_devstack.stack import Stack

SAMPLE = "invoice-lumen.pdf"
WAIT_SECONDS = 60
ORGANIZATION = "org_dev"
API_NAME = "documents"
TABLE = "inbox_results"


@frozen
class Example:
    """Names and ids of what was set up."""

    organization: str
    api_name: str
    api_url: str
    pipeline_id: str
    table: str


def set_up_example(stack: Stack) -> Example:
    """Sets everything up in the stack's backend."""
    fields = load_expectations().fields
    platform = stack.backend.platform(ORGANIZATION)
    platform.set_up_organization()
    documents = platform.create_workflow("documents", "api", fields)
    api_id = platform.create_api_deployment(documents, API_NAME)
    inbox = platform.create_workflow("inbox", "etl", fields, source_folder=str(INBOX), destination_table=TABLE)
    pipeline_id = platform.create_pipeline(inbox, "inbox")
    platform.notify(f"{stack.sink.url}/hooks/api", api_id=api_id)
    platform.notify(f"{stack.sink.url}/hooks/pipeline", pipeline_id=pipeline_id)
    return Example(ORGANIZATION, API_NAME, platform.api_url(API_NAME), pipeline_id, TABLE)


def addresses(stack: Stack, page_url: str) -> dict[str, str]:
    """Where everything is, by name."""
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


def write_environment_file(path: Path, environment: Mapping[str, str]) -> None:
    """Writes what points a worker at the stack, for a shell to read. Only its owner may: it holds the key."""
    path.touch(mode=0o600)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def worker_lines(environment_file: Path) -> Iterator[str]:
    """One line for each worker that starts it by hand, in a shell of its own."""
    source = f". {shlex.quote(str(environment_file))}"
    python = shlex.quote(sys.executable)
    for kind in WORKERS:
        yield f"{source}; {kind.port_variable}={free_port()} {python} -m {kind.package} run"


def curl_lines(stack: Stack, example: Example) -> Iterator[tuple[str, str]]:
    """Lines to try, each with what it does."""
    key = f"-H 'Authorization: Bearer {stack.backend.api_key}'"
    dev = f"{stack.backend.public_url}/dev"
    sample = shlex.quote(f"files=@{DOCUMENTS / SAMPLE}")
    organization = example.organization
    yield "ask whether the internal API is there", f"curl -s {key} {stack.backend.internal_url}/v1/health/"
    yield "send a document and wait for its result", f"curl -s -F {sample} -F timeout={WAIT_SECONDS} {example.api_url}"
    yield (
        "send a document and not wait (the answer says where to ask for the result)",
        f"curl -s -F {sample} -F use_file_history=true {example.api_url}",
    )
    trigger = f'-d \'{{"how": "run"}}\' {dev}/pipelines/{example.pipeline_id}/trigger'
    yield "run the pipeline over the inbox", f"curl -s {key} -H 'Content-Type: application/json' {trigger}"
    yield "see all executions", f"curl -s {key} '{dev}/executions?organization_id={organization}'"
    yield "see what the pipeline wrote", f"curl -s {key} {dev}/destinations/{example.table}"
    yield "see every effect so far", f"curl -s {key} {dev}/history"
