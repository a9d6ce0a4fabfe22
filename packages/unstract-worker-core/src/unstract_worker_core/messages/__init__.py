"""What travels between the platform and the workers, as attrs models (contract: tasks)."""

from unstract_worker_core.messages.api_result import ApiResultItem, result_items
from unstract_worker_core.messages.batch import BatchMessage, BatchResult, read_batch, read_results
from unstract_worker_core.messages.start import StartMessage, read_start

__all__ = [
    "ApiResultItem",
    "BatchMessage",
    "BatchResult",
    "StartMessage",
    "read_batch",
    "read_results",
    "read_start",
    "result_items",
]
