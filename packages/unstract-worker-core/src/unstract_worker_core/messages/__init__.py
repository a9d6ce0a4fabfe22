"""What travels between the platform and the workers, as attrs models (contract: tasks)."""

from unstract_worker_core.messages.api_result import ApiResultItem, result_items
from unstract_worker_core.messages.batch import BatchMessage, BatchResult, read_batch, read_results
from unstract_worker_core.messages.schedule import ScheduleMessage, read_schedule
from unstract_worker_core.messages.start import StartMessage, read_start
from unstract_worker_core.messages.webhook import WebhookMessage, read_webhook

__all__ = [
    "ApiResultItem",
    "BatchMessage",
    "BatchResult",
    "ScheduleMessage",
    "StartMessage",
    "WebhookMessage",
    "read_batch",
    "read_results",
    "read_schedule",
    "read_start",
    "read_webhook",
    "result_items",
]
