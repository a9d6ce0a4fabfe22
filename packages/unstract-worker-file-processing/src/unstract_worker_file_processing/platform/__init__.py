"""The executor `platform` (WORKER_FILE_EXECUTOR): files are extracted by the platform's own executor worker.

Needs the extra `[platform]`, and `[gcs]`, `[azure]` or `[sftp]` for such stores. See the package's README.
"""

from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_file_processing.platform.executor import PlatformExecutor
from unstract_worker_file_processing.platform.gathering import Gathering
from unstract_worker_file_processing.platform.publisher import RequestPublisher
from unstract_worker_file_processing.platform.service import PlatformService, base_url
from unstract_worker_file_processing.platform.stores import platform_stores

__all__ = ["PlatformExecutor", "make"]


def make(runtime: Runtime) -> PlatformExecutor:
    """The executor of one process. Nothing is connected yet. Raises ConfigurationError."""
    settings = runtime.settings.executor
    files, uploads = platform_stores(settings)
    return PlatformExecutor(
        gathering=Gathering(runtime.backend, PlatformService(base_url(settings)), settings.structure_image),
        publisher=RequestPublisher(runtime.settings.broker, settings.queue_limit, settings.result_timeout),
        uploads=uploads,
        files=files,
        files_of_run=runtime.ledger.runs.files,
        files_prefix=(settings.files_prefix or "").rstrip("/"),
        uploads_prefix=runtime.settings.files.api_dir_prefix,
    )
