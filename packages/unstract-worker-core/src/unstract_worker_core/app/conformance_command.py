"""`conformance`: what a live backend lacks of what this worker needs, before traffic is moved to it."""

import json
import os
import sys
from importlib import import_module
from uuid import uuid4

import click
from attrs import asdict

from unstract_worker_core.app.definition import WorkerDefinition
from unstract_worker_core.app.entry import settings_or_exit
from unstract_worker_core.app.operating import confirm, note_action
from unstract_worker_core.app.tables import table
from unstract_worker_core.checking.backends import asking
from unstract_worker_core.conformance.running import Finding, Verdict, conformance_of
from unstract_worker_core.conformance.scene import Scene

__all__ = ["conformance"]

_SECONDS = 30.0
_BAD = (Verdict.LACKS, Verdict.UNCLEAR)


def conformance(definition: WorkerDefinition) -> click.Command:
    """The command; the worker's operations are in its module `operations`."""

    @click.command(help="Try what this worker needs of the backend. Changes nothing without --write.")
    @click.option("--organization", required=True, help="The organization to act for.")
    @click.option("--workflow", type=click.UUID, help="A workflow of it; with --write one that is only for this.")
    @click.option("--write", is_flag=True, help="Also try what changes something: runs a file in --workflow.")
    @click.option("--yes", is_flag=True, help="Do not ask before writing.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
    @click.pass_context
    def command(
        context: click.Context, *, organization: str, workflow: object, write: bool, yes: bool, as_json: bool
    ) -> None:
        if write and workflow is None:
            raise click.UsageError("--write needs --workflow: a scratch workflow, whose destination may be written to")
        if write:
            confirm(f"Create an execution in workflow {workflow} of {organization} and run a file in it?", yes=yes)
        findings = _findings(definition, organization, str(workflow or uuid4()), write=write)
        click.echo(_as_json(findings) if as_json else _as_text(findings))
        context.exit(1 if any(finding.verdict in _BAD for finding in findings) else 0)

    return command


def _findings(definition: WorkerDefinition, organization: str, workflow: str, *, write: bool) -> list[Finding]:
    settings = settings_or_exit(definition, os.environ)
    operations = import_module(f"{definition.package}.operations").OPERATIONS
    backend = asking(settings, seconds=_SECONDS)
    if write:
        note_action("conformance", organization_id=organization, workflow_id=workflow)
    try:
        return list(conformance_of(operations, Scene(backend, organization, workflow), write=write))
    finally:
        backend.close()


def _as_json(findings: list[Finding]) -> str:
    ok = not any(finding.verdict in _BAD for finding in findings)
    return json.dumps({"ok": ok, "operations": [asdict(finding) for finding in findings]})


def _as_text(findings: list[Finding]) -> str:
    columns = ("operation", "expected", "got", "verdict")
    rows = ((each.operation, each.expected, each.got, each.verdict.value) for each in findings)
    count = {verdict: sum(each.verdict is verdict for each in findings) for verdict in Verdict}
    summary = ", ".join(f"{number} {verdict.value}" for verdict, number in count.items() if number)
    return f"{table(columns, rows, terminal=sys.stdout.isatty())}\n{summary}"
