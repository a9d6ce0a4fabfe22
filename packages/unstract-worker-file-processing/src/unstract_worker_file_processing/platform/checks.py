"""What `check` looks at for the executor `platform`: stores, platform-service, platform keys, the executor's queue."""

from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit
from uuid import uuid4

from unstract_worker_core.backend import Backend
from unstract_worker_core.config import Settings
from unstract_worker_core.errors import BackendError, ConfigurationError, MessageError
from unstract_worker_core.operator.check import Line, known_cause
from unstract_worker_core.operator.check.backends import client_for_checks
from unstract_worker_core.operator.check.brokers import foreign_queue_line
from unstract_worker_file_processing.executor import FileFailed, NotNow
from unstract_worker_file_processing.platform.publisher import EXECUTOR_QUEUE
from unstract_worker_file_processing.platform.service import PlatformService, base_url
from unstract_worker_file_processing.platform.store_drivers import BucketMissing
from unstract_worker_file_processing.platform.stores import Store, platform_stores

_FILES, _UPLOADS = "store of executions", "store of uploads"
_SERVICE = "platform-service"
_SECONDS = 5.0
# What platform-service says of a tool that does not exist, or of a question without a key.
_ANSWERS = (401, 403, 404)


def platform_lines(settings: Settings, organizations: Sequence[str]) -> Iterator[Line]:
    """Each store, platform-service with the organizations' platform keys, and the executor's queue."""
    executor = settings.executor
    try:
        files, uploads = platform_stores(executor)
    except ConfigurationError as error:
        yield Line(_FILES, "fail", "; ".join(fault.problem for fault in error.faults))
        yield Line(_UPLOADS, "skip", f"the {_FILES} cannot be opened")
    else:
        yield _files(files, (executor.files_prefix or "").strip("/"))
        yield _uploads(uploads, (settings.files.api_dir_prefix or "").strip("/"))
    yield from _service_lines(settings, organizations)
    consumer = "the platform's executor worker"
    yield foreign_queue_line(settings.broker, EXECUTOR_QUEUE, consumer=consumer, limit=executor.queue_limit)


def _files(store: Store, prefix: str) -> Line:
    """What lies there is written and read: tried with a small file, which is taken away again."""

    def probe() -> None:
        store.probe(f"{prefix}/unstract-worker-check-{uuid4()}")

    variables = "WORKFLOW_EXECUTION_FILE_STORAGE_CREDENTIALS and WORKFLOW_EXECUTION_DIR_PREFIX"
    return _store(_FILES, store, prefix, probe, "written, read and deleted", variables)


def _uploads(store: Store, prefix: str) -> Line:
    """Uploads are only read."""
    if not prefix:
        return Line(_UPLOADS, "warn", "API_EXECUTION_DIR_PREFIX is not set: the store was not tried")
    bucket, variables = prefix.partition("/")[0], "API_FILE_STORAGE_CREDENTIALS and API_EXECUTION_DIR_PREFIX"
    return _store(_UPLOADS, store, prefix, lambda: store.look(bucket), "can be read", variables)


def _store(subject: str, store: Store, prefix: str, probe: Callable[[], object], done: str, variables: str) -> Line:
    try:
        probe()
    except BucketMissing:
        missing = f"{store.location}: there is no {prefix.partition('/')[0]} in it"
        if store.protocol in ("dir", "file"):  # the first upload makes it
            return Line(subject, "warn", f"{missing}: no file came yet, or {variables} name another folder")
        return Line(subject, "fail", f"{missing}: look at {variables}")
    except NotNow as error:
        return Line(subject, "fail", f"{store.location}: {known_cause(error) or error}; look at {variables}")
    return Line(subject, "ok", f"{prefix} at {store.location}: {done}")


def _service_lines(settings: Settings, organizations: Sequence[str]) -> Iterator[Line]:
    service = PlatformService(base_url(settings.executor), seconds=_SECONDS, attempts=1)
    reached = _reached(service)
    yield reached
    if reached.status == "fail":
        yield from (Line(_of(each), "skip", f"{_SERVICE} cannot be used") for each in organizations)
        return
    backend = client_for_checks(settings)
    try:
        yield from (_key_line(service, backend, organization) for organization in organizations)
    finally:
        backend.close()


def _reached(service: PlatformService) -> Line:
    where, look = urlsplit(service.base_url).netloc.rpartition("@")[2], "look at PLATFORM_SERVICE_HOST and _PORT"
    try:
        status = service.probe()
    except (FileFailed, NotNow) as error:
        return Line(_SERVICE, "fail", f"{where}: {known_cause(error) or error}; {look}")
    if status not in _ANSWERS:
        return Line(_SERVICE, "fail", f"{where}: HTTP {status} to a tool that does not exist: is it {_SERVICE}? {look}")
    return Line(_SERVICE, "ok", f"{where} answers (HTTP {status} to a tool that does not exist)")


def _key_line(service: PlatformService, backend: Backend, organization: str) -> Line:
    subject = _of(organization)
    try:
        key = backend.tooling.platform_key(organization)
        if key is None:
            return Line(subject, "skip", "the organization has none: create one in its platform settings")
        status = service.probe(key)
    except (BackendError, MessageError, NotNow, FileFailed) as error:
        return Line(subject, "skip", f"could not be tried: {error}")
    if status == 404:
        return Line(subject, "ok", f"accepted by {_SERVICE}")
    what = f"{_SERVICE} does not accept it (HTTP {status}), so no file can be executed"
    return Line(subject, "fail", f"{what}: do the backend and {_SERVICE} share their database?")


def _of(organization: str) -> str:
    return f"platform key of {organization}"
