"""Does a live backend serve the operations that a worker needs, as the contract says? Read-only without --write.

Each worker names its operations in its module `operations`; how each is tried is data here.
"""

from collections.abc import Callable
from uuid import uuid4

from attrs import define, field, frozen

from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.operations import Operation
from unstract_worker_core.backend.pipelines import Notification, RunEvent
from unstract_worker_core.backend.workflows import SourceFile
from unstract_worker_core.errors import BackendRefused

UNKNOWN_ID = "a refusal of an id that does not exist, in JSON"


class Mismatch(Exception):
    """A response that is not what was expected; the text says what came."""


class Unclear(Exception):
    """A response that does not say whether the operation works."""


@define
class ProbeContext:
    """One organization of a live backend, and what was made in its scratch workflow.

    Attributes:
        workflow_id: the workflow that the operator named, or one that does not exist.
        pipeline_id, api_id: the pipeline and the API deployment that the operator named; None: none.
        notify: whether a subscriber of these may be notified.
        unknown_id: an id that does not exist.
        execution_id: the scratch execution; None before it was made.
        row_id: the scratch file's row.
        source: a file that the scratch workflow's source lists.
        event: with a subscriber of the named ones that it notifies; None before one was found.
    """

    backend: Backend
    organization: str
    workflow_id: str
    pipeline_id: str | None = None
    api_id: str | None = None
    notify: bool = False
    unknown_id: str = field(factory=lambda: str(uuid4()))
    execution_id: str | None = None
    row_id: str | None = None
    source: SourceFile | None = None
    event: tuple[RunEvent, Notification] | None = None
    mark: str = field(factory=lambda: uuid4().hex)


@frozen
class Probe:
    """How an operation is tried.

    Attributes:
        call: returns what came, if that is as expected.
        missing: what a "not found" means, where that is as expected too.
    """

    operation: Operation
    expected: str
    call: Callable[[ProbeContext], str]
    missing: str = ""


def expect_refusal(call: Callable[[], object], what: str) -> str:
    """Make a call about an id that does not exist; the backend must say so in its own words. Raises Mismatch."""
    try:
        call()
    except BackendRefused as error:
        if error.status in (401, 403, 405, 501):
            raise
        return f"{what} (HTTP {error.status})"
    raise Mismatch("a response, although the id does not exist")
