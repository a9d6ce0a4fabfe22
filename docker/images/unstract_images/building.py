"""Builds the images of the workers from docker/wheels, and looks at what they weigh."""

from collections.abc import Mapping
from types import MappingProxyType

from unstract_images.engine import Engine, built, local_tag
from unstract_images.running import ImagesError, run, say
from unstract_images.workers import DOCKER, ROOT, WORKERS, Worker, packaged_version

__all__ = ["BARS", "build_worker", "check_sizes", "tag_of"]

MEGABYTE = 1_000_000
# What a worker may add over its base, in megabytes: what was measured and a tenth more.
BARS: Mapping[str, float] = MappingProxyType(
    {"api-deployment": 39.0, "general": 39.0, "file-processing": 39.0, "callback": 39.0}
)


def tag_of(worker: Worker) -> str:
    """Name and version of a worker's image, as the compose files pin it."""
    return f"{worker.distribution}:{packaged_version(worker.distribution)}"


def build_worker(engine: Engine, worker: Worker, base: str, *, extra: str = "", source: str = "") -> str:
    """Builds a worker's image; its name. Raises ImagesError."""
    tag = tag_of(worker)
    arguments = (
        f"BASE={base}",
        f"WORKER={worker.name}",
        f"VERSION={packaged_version(worker.distribution)}",
        f"EXTRA={extra}",
        f"HEALTH_PORT={worker.health_port}",
        f"REVISION={_revision()}",
        f"SOURCE={source}",
    )
    built(engine, DOCKER / "Dockerfile", DOCKER, tag, arguments)
    return local_tag(tag)


def check_sizes(engine: Engine, base: str, images: Mapping[str, str]) -> None:
    """Prints what each worker adds over its base. Raises ImagesError if one is above its bar."""
    below = engine.image_size(base)
    say(f"base {base}: {below / MEGABYTE:.1f} MB")
    heavy = []
    for worker in WORKERS:
        added = (engine.image_size(images[worker.name]) - below) / MEGABYTE
        say(f"{worker.distribution}: {added:.1f} MB over its base (bar {BARS[worker.name]:.1f})")
        if added > BARS[worker.name]:
            heavy.append(f"{worker.distribution} adds {added:.1f} MB, its bar is {BARS[worker.name]:.1f}")
    if heavy:
        raise ImagesError("; ".join(heavy))


def _revision() -> str:
    try:
        return run(("git", "-C", str(ROOT), "rev-parse", "HEAD"), seconds=10).strip()
    except ImagesError:
        return ""  # no repository: an exported tree
