"""What `check` looks at for the general worker alone."""

from collections.abc import Iterator, Sequence

from unstract_worker_core.config import Settings
from unstract_worker_core.operator.check.lines import Line
from unstract_worker_general.tasks import CLEANUP_NEEDS

__all__ = ["cleanup_lines"]


def cleanup_lines(settings: Settings, organizations: Sequence[str] = ()) -> Iterator[Line]:
    """Whether the daily `celery.backend_cleanup` of the platform's Beat, which this worker gets, does its work.

    It has nothing to do with `organizations`.
    """
    if settings.chord.enabled:
        yield Line("celery.backend_cleanup", "ok", "is run here when the platform's Beat sends it")
    else:
        yield Line("celery.backend_cleanup", "warn", f"becomes a dead letter each day: {CLEANUP_NEEDS}")
