"""The executor `platform` (WORKER_FILE_EXECUTOR): files are extracted by the platform's own executor worker.

Needs the extra `[platform]`, and `[gcs]`, `[azure]` or `[sftp]` for such stores. See the package's README.
"""

from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_file_processing.platform.executor import PlatformExecutor
from unstract_worker_file_processing.platform.gathering import Gathering
from unstract_worker_file_processing.platform.publisher import RequestPublisher
from unstract_worker_file_processing.platform.service import PlatformService, base_url
from unstract_worker_file_processing.platform.stores import store_of

__all__ = ["PlatformExecutor", "make"]


def make(runtime: Runtime) -> PlatformExecutor:
    """The executor of one process. Nothing is connected yet. Raises ConfigurationError."""
    settings = runtime.settings.executor
    if settings.files_store is None or settings.uploads_store is None or settings.files_prefix is None:
        raise ConfigurationError((Fault("WORKER_FILE_EXECUTOR", "platform needs its stores and their folders"),))
    files = store_of(settings.files_store, "the store of executions (WORKFLOW_EXECUTION_FILE_STORAGE_CREDENTIALS)")
    uploads = store_of(settings.uploads_store, "the store of uploads (API_FILE_STORAGE_CREDENTIALS)")
    faults = tuple(
        Fault("WORKER_FILE_EXECUTOR", f"install unstract-worker-file-processing[{extra}]")
        for extra in {files.missing_extra(), uploads.missing_extra()} - {None}
    )
    if faults:
        raise ConfigurationError(faults)
    return PlatformExecutor(
        gathering=Gathering(runtime.backend, PlatformService(base_url(settings)), settings.structure_image),
        publisher=RequestPublisher(runtime.settings.broker, settings.queue_limit, settings.result_timeout),
        uploads=uploads,
        files=files,
        files_prefix=settings.files_prefix.rstrip("/"),
        uploads_prefix=runtime.settings.files.api_dir_prefix,
    )
