"""Logging: one pipeline for all loggers, ids bound to records, secrets kept out."""

from unstract_worker_core.observability.logs.redaction import Redactor
from unstract_worker_core.observability.logs.setup import bind_task, configure_logging, get_logger

__all__ = ["Redactor", "bind_task", "configure_logging", "get_logger"]
