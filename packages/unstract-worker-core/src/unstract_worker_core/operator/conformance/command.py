"""`conformance`: what a live backend lacks of what this worker needs, before traffic is moved to it."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import click
from attrs import asdict, frozen

from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.operations import CREATE_EXECUTION, CREATE_FILE, SOURCE_FILES, Operation
from unstract_worker_core.errors import BackendError, BackendUnavailable, MessageError, NotFound, OutcomeUnknown
from unstract_worker_core.operator.check.backends import client_for_checks
from unstract_worker_core.operator.conformance import Mismatch, Probe, ProbeContext, Unclear
from unstract_worker_core.operator.conformance.reading import READING
from unstract_worker_core.operator.conformance.writing import TEAR_DOWN, WRITING
from unstract_worker_core.operator.console import confirm, note_action, table
from unstract_worker_core.worker.definition import WorkerDefinition, settings_or_exit

_SECONDS = 30.0


class Verdict(StrEnum):
    """`LACKS`: the backend does not serve it as the contract says. `UNCLEAR`: the response does not say."""

    OK = "ok"
    LACKS = "lacks"
    UNCLEAR = "unclear"
    NOT_TRIED = "not tried"


@frozen
class Finding:
    """What became of one operation."""

    operation: str
    expected: str
    got: str
    verdict: Verdict


_BAD = (Verdict.LACKS, Verdict.UNCLEAR)


def conformance(definition: WorkerDefinition) -> click.Command:
    """The command; the worker's module `operations` has its OPERATIONS, or by settings `operations_of`."""

    @click.command(help="Probe what this worker needs of the backend. Changes nothing without --write.")
    @click.option("--organization", required=True, help="The organization to act for.")
    @click.option("--workflow", type=click.UUID, help="A workflow of it; for --write a scratch workflow.")
    @click.option("--pipeline", type=click.UUID, help="A pipeline of it; --write sets its last run's status.")
    @click.option("--api", type=click.UUID, help="An API deployment of it: its subscribers are read.")
    @click.option("--write", is_flag=True, help="Also probe what changes something; runs a file in --workflow.")
    @click.option(
        "--notify", is_flag=True, help="With --write: notify a subscriber of --pipeline or --api of an ERROR."
    )
    @click.option("--yes", is_flag=True, help="Do not ask before writing.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
    @click.pass_context
    def command(context: click.Context, /, *, yes: bool, as_json: bool, **chosen: Any) -> None:
        wanted = _Options(**chosen)
        wanted.check()
        if wanted.write:
            confirm(wanted.effects(), yes=yes)
        findings = _findings(definition, wanted)
        click.echo(_as_json(findings) if as_json else _as_text(findings))
        context.exit(1 if any(finding.verdict in _BAD for finding in findings) else 0)

    return command


@frozen
class _Options:
    organization: str
    workflow: UUID | None
    pipeline: UUID | None
    api: UUID | None
    write: bool
    notify: bool

    def check(self) -> None:
        """Raises UsageError where one option needs another."""
        if self.write and self.workflow is None:
            raise click.UsageError("--write needs --workflow: a scratch workflow, whose destination may be written to")
        if self.notify and not (self.write and (self.pipeline or self.api)):
            raise click.UsageError(
                "--notify needs --write, and --pipeline or --api with a subscriber that may be notified"
            )

    def effects(self) -> str:
        """The question before writing."""
        effects = [f"Create an execution in workflow {self.workflow} of {self.organization} and run a file in it"]
        if self.pipeline:
            effects.append(f"write the last run of pipeline {self.pipeline}")
        if self.notify:
            effects.append(f"notify one subscriber of {self.pipeline or self.api}")
        return f"{', '.join(effects)}?"

    def context(self, backend: Backend) -> ProbeContext:
        """What the probes work with."""
        pipeline_id, api_id = (str(each) if each else None for each in (self.pipeline, self.api))
        return ProbeContext(backend, self.organization, str(self.workflow or uuid4()), pipeline_id, api_id, self.notify)


def _findings(definition: WorkerDefinition, wanted: _Options) -> list[Finding]:
    settings = settings_or_exit(definition, os.environ)
    operations = definition.operations_of(settings) if definition.operations_of else definition.operations
    backend = client_for_checks(settings, seconds=_SECONDS)
    if wanted.write:
        note_action("conformance", organization_id=wanted.organization, workflow_id=str(wanted.workflow))
    try:
        return list(conformance_of(operations, wanted.context(backend), write=wanted.write))
    finally:
        backend.close()


def conformance_of(operations: Sequence[Operation], context: ProbeContext, *, write: bool) -> Iterator[Finding]:
    """Probe each; with `write` also those that change something, and what they need first."""
    done: set[Operation] = set()
    if write:
        yield from _set_up(operations, context, done)
    try:
        for operation in operations:
            if operation not in done:
                yield _probe_if_allowed(operation, context, write=write)
    finally:
        if context.execution_id is not None:
            ended = _probe(TEAR_DOWN, context)
    if context.execution_id is not None:
        yield ended


def _set_up(operations: Sequence[Operation], context: ProbeContext, done: set[Operation]) -> Iterator[Finding]:
    """The scratch execution and its file; a file of the workflow's source, if it has one."""
    for first in (WRITING[CREATE_EXECUTION], READING[SOURCE_FILES], WRITING[CREATE_FILE]):
        finding = _probe(first, context)
        done.add(first.operation)
        if first.operation in operations or first.operation is CREATE_EXECUTION or finding.verdict is not Verdict.OK:
            yield finding


def _probe_if_allowed(operation: Operation, context: ProbeContext, *, write: bool) -> Finding:
    wanted = READING.get(operation) or WRITING[operation]
    if operation in READING or write:
        return _probe(wanted, context)
    return Finding(operation.name, wanted.expected, "it changes something: --write", Verdict.NOT_TRIED)


def _probe(probe: Probe, context: ProbeContext) -> Finding:
    try:
        got, verdict = probe.call(context), Verdict.OK
    except Mismatch as found:
        got, verdict = str(found), Verdict.LACKS
    except Unclear as found:
        got, verdict = str(found), Verdict.UNCLEAR
    except (BackendUnavailable, OutcomeUnknown) as error:
        # A 500 is an answer about the operation; an unreachable backend says nothing about it.
        got, verdict = _shown(error), Verdict.LACKS if error.status == 500 else Verdict.UNCLEAR
    except BackendError as error:
        got, verdict = _shown(error), Verdict.LACKS
        if probe.missing and isinstance(error, NotFound):
            got, verdict = f"{probe.missing} (HTTP {error.status})", Verdict.OK
    except MessageError as error:
        got, verdict = str(error), Verdict.UNCLEAR
    return Finding(probe.operation.name, probe.expected, got, verdict)


def _shown(error: BackendError) -> str:
    return error.message + (f" (HTTP {error.status})" if error.status is not None else "")


def _as_json(findings: list[Finding]) -> str:
    ok = not any(finding.verdict in _BAD for finding in findings)
    return json.dumps({"ok": ok, "operations": [asdict(finding) for finding in findings]})


def _as_text(findings: list[Finding]) -> str:
    columns = ("operation", "expected", "got", "verdict")
    rows = ((each.operation, each.expected, each.got, each.verdict.value) for each in findings)
    count = {verdict: sum(each.verdict is verdict for each in findings) for verdict in Verdict}
    summary = ", ".join(f"{number} {verdict.value}" for verdict, number in count.items() if number)
    return f"{table(columns, rows, terminal=sys.stdout.isatty())}\n{summary}"
