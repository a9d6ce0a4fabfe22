"""The backend: is it there, does it take the key, does it know the organizations and keep them apart."""

from collections.abc import Iterator, Sequence
from uuid import uuid4

from attrs import evolve

from unstract_worker_core.backend import Backend
from unstract_worker_core.config import Settings
from unstract_worker_core.errors import BackendError, BackendUnavailable, MessageError
from unstract_worker_core.operator.check.lines import Line
from unstract_worker_core.statuses import ExecutionStatus

__all__ = ["asking", "backend_lines"]

_SECONDS = 5.0


def asking(settings: Settings, *, seconds: float = _SECONDS) -> Backend:
    """A client that asks once, briefly, and however often it was refused."""
    told = evolve(
        settings.backend, timeout=seconds, total_timeout=seconds, file_execution_timeout=seconds, retry_attempts=0,
        breaker_threshold=1_000_000,
    )  # fmt: skip
    return Backend(told, version=settings.version)


def backend_lines(settings: Settings, organizations: Sequence[str]) -> Iterator[Line]:
    """The backend and its key; then each organization."""
    backend = asking(settings)
    try:
        reached = _reached(backend)
        yield reached
        if reached.status == "fail":
            return
        if not organizations:
            told = "none was looked at: name one with --organization (or WORKER_ORGANIZATIONS)"
            yield Line("organization", "warn", told)
        for organization in organizations:
            yield _known(backend, organization)
        if organizations:
            yield _apart(backend)
    finally:
        backend.close()


def _reached(backend: Backend) -> Line:
    try:
        backend.check()
        return Line("backend", "ok", "it is well and takes the key")
    except BackendUnavailable as error:
        return Line("backend", "fail", f"{error}: look at INTERNAL_API_BASE_URL, and whether the backend is up")
    except BackendError as error:
        refused = error.status in (401, 403)
        look = "INTERNAL_SERVICE_API_KEY must be the backend's" if refused else "is this the internal API's URL?"
        return Line("backend", "fail", f"{error}: {look}")


def _known(backend: Backend, organization: str) -> Line:
    subject = f"organization {organization}"
    try:
        batches = backend.configuration.max_parallel_file_batches(organization)
    except (BackendError, MessageError) as error:
        return Line(subject, "fail", str(error))
    if batches is None:
        return Line(subject, "fail", "the backend does not know it: its identifier is wanted, not its name or number")
    return Line(subject, "ok", f"the backend knows it; {batches} batches of an execution side by side")


def _apart(backend: Backend) -> Line:
    """An organization that nobody has must see nothing: else the backend answers for whomever it likes."""
    subject, nobody = "organization scoping", f"org_check_{uuid4().hex[:12]}"
    try:
        seen = backend.executions.list(nobody, None, [ExecutionStatus.PENDING])
    except BackendError as error:
        return Line(subject, "warn", f"could not be looked at: {error}")
    if seen:
        told = f"an organization that does not exist sees {len(seen)} executions: the backend does not scope by "
        return Line(subject, "fail", told + "X-Organization-ID; do not run workers against it")
    return Line(subject, "ok", "an organization that does not exist sees nothing")
