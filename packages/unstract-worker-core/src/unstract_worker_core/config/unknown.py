"""Variables of the process that look like ours and are none: misspelt, or from another version."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache

from unstract_worker_core.config.obsolete import ACCEPTED_WITHOUT_EFFECT, CELERY_READS_ITSELF, expanded
from unstract_worker_core.config.settings import declared_variables
from unstract_worker_core.statuses import WorkerType

_OURS = ("WORKER_", "CELERY_", *(f"{worker.value.upper()}_" for worker in WorkerType))
# Others use these beginnings too, so a name counts as misspelt only where it is close to one of ours.
_SHARED = (
    "ACTIVE_", "API_", "CACHE_", "CHORD_", "CIRCUIT_", "ENABLE_", "EXECUTION_", "FILE_", "INTERNAL_", "LOG", "MAX_",
    "RABBITMQ_", "REDIS_", "RESCUE_", "WEBHOOK_",
)  # fmt: skip
# How alike two names must be: with one of our beginnings, with a shared one, with any other (a typo in its first word).
_CLOSE_OURS, _CLOSE_SHARED, _CLOSE_OTHER = 0.8, 0.85, 0.9
# Close to a name of Celery's own, which has no effect either: this is the one that has.
_BROKER, _CELERYS_BROKER = "CELERY_BROKER_BASE_URL", tuple(name for name in CELERY_READS_ITSELF if "BROKER" in name)
_TYPO = 2  # letters that a typo adds or leaves out


def unknown_warnings(environ: Mapping[str, str]) -> tuple[str, ...]:
    """A warning for each variable that is set and looks misspelt; names only, never values."""
    found = []
    for name in sorted(environ):
        if name in _known():
            continue
        close = _meant(name)
        if close:
            found.append(f"{name} is not known and has no effect; did you mean {close}?")
        elif name.startswith(_OURS):
            found.append(f"{name} is not known and has no effect")
    return tuple(found)


def _meant(name: str) -> str | None:
    """The variable with an effect that is closest to this name; None where none is close."""
    spelt = name.upper().replace("-", "_")
    candidates, cutoff = _effective(), _CLOSE_OURS if spelt.startswith(_OURS) else _CLOSE_SHARED
    if not spelt.startswith((*_OURS, *_SHARED)):
        # Each comparison takes a while, and most variables of a process are none of ours.
        candidates, cutoff = tuple(one for one in candidates if _may_be_typo(spelt, one)), _CLOSE_OTHER
    close = next(iter(get_close_matches(spelt, candidates, n=1, cutoff=cutoff)), None)
    return _BROKER if close in _CELERYS_BROKER else close


def _may_be_typo(name: str, other: str) -> bool:
    return abs(len(name) - len(other)) <= _TYPO and (name[:4] == other[:4] or name[-4:] == other[-4:])


@cache
def _known() -> frozenset[str]:
    return frozenset(("WORKER_TYPE", "CELERY_APP", *CELERY_READS_ITSELF, *_effective(), *_without_effect()))


@cache
def _effective() -> tuple[str, ...]:
    """Every name that has an effect, once: a name that is none of ours is compared with all of them."""
    return tuple(dict.fromkeys((*_CELERYS_BROKER, *_all_names())))


def _all_names() -> Iterator[str]:
    kinds = tuple(worker.value.upper() for worker in WorkerType)
    for _, declaration, prefix in declared_variables():
        for name in declaration.names_with(prefix):
            for kind in kinds:
                yield name.replace("{TYPE}", kind)
                if declaration.secret:
                    yield f"{name.replace('{TYPE}', kind)}_FILE"


def _without_effect() -> Iterator[str]:
    for obsolete in ACCEPTED_WITHOUT_EFFECT:
        for name in obsolete.names:
            for kind in WorkerType:
                yield from expanded(name, kind.value.upper())
