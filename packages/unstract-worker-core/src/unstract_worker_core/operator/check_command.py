"""What `check` looks at, in its order: can this worker reach what its settings name, and is it fit for use?"""

from collections.abc import Iterator, Sequence

from unstract_worker_core.config import Settings
from unstract_worker_core.operator.check.backends import backend_lines
from unstract_worker_core.operator.check.brokers import broker_lines
from unstract_worker_core.operator.check.clocks import clock_lines
from unstract_worker_core.operator.check.lines import Line, rendered
from unstract_worker_core.operator.check.redis_roles import redis_lines

__all__ = ["Line", "lines_of", "rendered"]


def lines_of(settings: Settings, organizations: Sequence[str] = ()) -> Iterator[Line]:
    """Look at everything, one after the other; none takes longer than a few seconds, nothing is changed.

    `organizations` are looked at in the backend; without any, those of the settings.
    """
    yield Line("configuration", "ok")
    for warning in settings.warnings:
        yield Line("configuration", "warn", warning)
    yield from broker_lines(settings)
    yield from redis_lines(settings)
    yield from backend_lines(settings, organizations or settings.organizations)
    yield from clock_lines(settings)
