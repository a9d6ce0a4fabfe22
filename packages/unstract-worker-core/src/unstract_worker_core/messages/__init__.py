"""What travels between the platform and the workers, as attrs models (contract: tasks)."""

from unstract_worker_core.messages.batch import BatchMessage, BatchResult, read_batch, read_results
from unstract_worker_core.messages.start import StartMessage, read_start

__all__ = [
    "BatchMessage",
    "BatchResult",
    "StartMessage",
    "read_batch",
    "read_results",
    "read_start",
]
