"""The backend: can it be reached, does it accept the key, does it know the organizations and keep them apart."""

from collections.abc import Generator, Iterator, Sequence
from uuid import uuid4

from attrs import evolve

from unstract_worker_core.backend import Backend
from unstract_worker_core.config import Settings
from unstract_worker_core.errors import BackendError, BackendUnavailable, MessageError
from unstract_worker_core.operator.check import SECONDS, Line, unknown_zone
from unstract_worker_core.statuses import ExecutionStatus


def client_for_checks(settings: Settings, *, seconds: float = SECONDS) -> Backend:
    """A client that makes each call once, within this time, whatever failed before."""
    brief = evolve(
        settings.backend, timeout=seconds, total_timeout=seconds, file_execution_timeout=seconds, retry_attempts=0,
        breaker_threshold=1_000_000,
    )  # fmt: skip
    return Backend(brief, version=settings.version)


def backend_lines(settings: Settings, organizations: Sequence[str]) -> Generator[Line, None, bool]:
    """The backend and its key; then each organization. Returns whether the backend answers."""
    backend = client_for_checks(settings)
    try:
        reached, answers = _reached(backend, settings.backend.base_url)
        yield reached
        if reached.status == "fail":
            yield from (Line(f"organization {each}", "skip", "the backend cannot be used") for each in organizations)
            return answers
        if not organizations:
            hint = "none was checked: name one with --organization (or WORKER_ORGANIZATIONS)"
            yield Line("organization", "warn", hint)
        for organization in organizations:
            yield from _organization(backend, organization)
        if organizations:
            yield _scoping(backend)
        return answers
    finally:
        backend.close()


def _reached(backend: Backend, where: str) -> tuple[Line, bool]:
    try:
        backend.check()
    except BackendUnavailable as error:
        cause, look = unknown_zone(where) or error.message, "is INTERNAL_API_BASE_URL right, is the backend up?"
        return Line("backend", "fail", f"{where}: {cause}; {look}"), error.status is not None
    except BackendError as error:
        refused = error.status in (401, 403)
        hint = "set INTERNAL_SERVICE_API_KEY to the backend's" if refused else "is INTERNAL_API_BASE_URL right?"
        return Line("backend", "fail", f"{where}: {error.message}; {hint}"), True
    return Line("backend", "ok", f"{where}: healthy; API key accepted"), True


def _organization(backend: Backend, organization: str) -> Iterator[Line]:
    subject = f"organization {organization}"
    try:
        batches = backend.workflows.max_parallel_file_batches(organization)
        if batches is None:
            problem = "the backend does not know it: use its identifier, not its name or number"
            yield Line(subject, "fail", problem)
            return
        yield Line(subject, "ok", f"known to the backend; {batches} batches of an execution run side by side")
        if backend.tooling.platform_key(organization) is None:
            problem = "it has no active platform key, so no file can be executed: create one in its platform settings"
            yield Line(subject, "warn", problem)
    except (BackendError, MessageError) as error:
        yield Line(subject, "fail", str(error))


def _scoping(backend: Backend) -> Line:
    """An organization that does not exist must see nothing: else the backend does not keep organizations apart."""
    subject, unknown = "organization scoping", f"org_check_{uuid4().hex[:12]}"
    try:
        seen = backend.executions.list(unknown, None, [ExecutionStatus.PENDING])
    except BackendError as error:
        return Line(subject, "warn", f"could not be checked: {error}")
    if seen:
        problem = f"an organization that does not exist sees {len(seen)} executions: the backend does not scope by "
        return Line(subject, "fail", problem + "X-Organization-ID; do not run workers against it")
    return Line(subject, "ok", "an organization that does not exist sees nothing")
