"""Builds an image from docker/wheels; its tag and its label are the version of the wheel that is in it."""

from collections.abc import Iterator

from unstract_images.running import ImagesError, run
from unstract_images.wheelhouse import own_wheel
from unstract_images.workers import DOCKER, ROOT, VARIANTS, Worker

__all__ = ["build_arguments", "tag_of"]


def tag_of(worker: Worker, variant: str = "") -> str:
    """Name and version of an image, as the compose files pin it: unstract-worker-callback:1.0.0-chord."""
    version = _version(worker)
    return f"{worker.distribution}:{version}-{variant}" if variant else f"{worker.distribution}:{version}"


def build_arguments(worker: Worker, base: str, variant: str = "") -> Iterator[str]:
    """What `docker build` is given behind its own options: tag, build arguments and context."""
    arguments = {
        "BASE": base,
        "WORKER": worker.name,
        "VERSION": _version(worker),
        "VARIANT": variant,
        "EXTRAS": ",".join(VARIANTS[variant]),
        "HEALTH_PORT": str(worker.health_port),
        "REVISION": _revision(),
    }
    for name, value in arguments.items():
        yield from ("--build-arg", f"{name}={value}")
    yield str(DOCKER)


def _version(worker: Worker) -> str:
    return own_wheel(worker.distribution).name.split("-")[1]


def _revision() -> str:
    try:
        return run(("git", "-C", str(ROOT), "rev-parse", "HEAD"), seconds=10).strip()
    except ImagesError:
        return ""  # no repository: an exported tree
