"""The metrics described as a table, for the README; from the instruments themselves."""

from unstract_worker_core.observability.metrics.families import Described
from unstract_worker_core.observability.metrics.instruments import Metrics
from unstract_worker_core.observability.metrics.readings import READ

__all__ = ["metrics_table"]


def metrics_table() -> str:
    """Every metric as Markdown: name as it is queried, type, labels, meaning."""
    lines = ["| metric | type | labels | what it tells |", "| --- | --- | --- | --- |"]
    lines += [_line(told) for told in (*Metrics().described, *READ)]
    return "\n".join(lines) + "\n"


def _line(told: Described) -> str:
    return f"| `{told.name}` | {told.kind} | {', '.join(told.labels)} | {told.purpose} |"
