"""Variables that look like ours and are none: misspelt, or from another version."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache

from unstract_worker_core.config.obsolete import ACCEPTED_WITHOUT_EFFECT, CELERY_READS_ITSELF, expanded
from unstract_worker_core.config.reference import describe_variables
from unstract_worker_core.statuses import WorkerType

_OURS = ("WORKER_", "CELERY_", *(f"{worker.value.upper()}_" for worker in WorkerType))
# Others use these beginnings too, so a name counts as misspelt only where it is close to one of ours.
_SHARED = (
    "ACTIVE_", "API_", "CACHE_", "CHORD_", "CIRCUIT_", "ENABLE_", "EXECUTION_", "FILE_", "INTERNAL_", "LOG", "MAX_",
    "RABBITMQ_", "REDIS_", "RESCUE_", "WEBHOOK_",
)  # fmt: skip
_CLOSE = 0.85


def unknown_warnings(environ: Mapping[str, str]) -> tuple[str, ...]:
    """A warning for each variable that is set and looks misspelt; names only, never values."""
    found = []
    for name in sorted(environ):
        if name in _known() or not name.startswith((*_OURS, *_SHARED)):
            continue
        close = get_close_matches(name, _known(), n=1, cutoff=_CLOSE)
        if close:
            found.append(f"{name} is not known and has no effect; did you mean {close[0]}?")
        elif name.startswith(_OURS):
            found.append(f"{name} is not known and has no effect")
    return tuple(found)


@cache
def _known() -> tuple[str, ...]:
    return ("WORKER_TYPE", *CELERY_READS_ITSELF, *_all_names())


def _all_names() -> Iterator[str]:
    kinds = tuple(worker.value.upper() for worker in WorkerType)
    for variable in describe_variables():
        for name in (variable.name, *variable.alternatives):
            for kind in kinds:
                yield name.replace("{TYPE}", kind)
                if variable.secret:
                    yield f"{name.replace('{TYPE}', kind)}_FILE"
    for obsolete in ACCEPTED_WITHOUT_EFFECT:
        for name in obsolete.names:
            for kind in kinds:
                yield from expanded(name, kind)
