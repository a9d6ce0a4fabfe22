"""Metrics of a process: counted where things happen, read where they are kept, shown at /metrics.

Tasks, queues and workers have the names and labels of celery-exporter; what it lacks starts with ``unstract_worker_``.
"""

from unstract_worker_core.observability.metrics.families import Described
from unstract_worker_core.observability.metrics.instruments import Metrics
from unstract_worker_core.observability.metrics.page import metrics_table
from unstract_worker_core.observability.metrics.processes import SharedFolder
from unstract_worker_core.observability.metrics.readings import READ, Readings
from unstract_worker_core.observability.metrics.tasks import TaskMeter

__all__ = ["READ", "Described", "Metrics", "Readings", "SharedFolder", "TaskMeter", "metrics_table"]
