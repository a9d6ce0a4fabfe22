"""Probes a worker's operations one after the other and says of each what was expected and what came."""

from collections.abc import Iterator, Sequence
from enum import StrEnum

from attrs import frozen

from unstract_worker_core.backend.operations import CREATE_EXECUTION, CREATE_FILE, SOURCE_FILES, Operation
from unstract_worker_core.errors import BackendError, BackendUnavailable, MessageError, NotFound, OutcomeUnknown
from unstract_worker_core.operator.conformance.probes import Mismatch, Probe, ProbeContext, Unclear
from unstract_worker_core.operator.conformance.reading import READING
from unstract_worker_core.operator.conformance.writing import TEAR_DOWN, WRITING


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
        # A 500 that may pass is an answer all the same; a backend that is away says nothing about the operation.
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
