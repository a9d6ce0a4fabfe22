"""Stand-ins of what the executor `platform` needs: the platform's executor worker, platform-service, an object store.

The executor is a real Celery worker process on the platform's queue. It reads a file from the same store as the file
workers, extracts as the reference backend does, and answers by Celery's link. Its bill counts extractions per file.
"""

from unstract_devstack.executor.bill import Bill, Fault
from unstract_devstack.executor.platform_service import PlatformService, running_platform_service
from unstract_devstack.executor.running import (
    EXECUTOR_VARIABLES,
    ExecutorStack,
    running_executor,
    running_object_store,
)

__all__ = [
    "EXECUTOR_VARIABLES",
    "Bill",
    "ExecutorStack",
    "Fault",
    "PlatformService",
    "running_executor",
    "running_object_store",
    "running_platform_service",
]
