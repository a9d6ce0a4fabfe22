"""Builds the images and tries them as an operator would: `hatch run images:test`."""

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from unstract_devstack.ports import free_port
from unstract_images.building import build_worker, check_sizes
from unstract_images.deployed import Site
from unstract_images.engine import an_engine, built, local_tag
from unstract_images.execution import Trial, running_backend
from unstract_images.inspection import check_containers, check_redis
from unstract_images.running import ImagesError, say
from unstract_images.standins import BASE_TAG, REDIS_TAG, make_base, make_redis, target_of
from unstract_images.wheelhouse import build_released, fill
from unstract_images.workers import WORKERS

__all__ = ["Options", "try_images"]

BROKEN_TAG = "unstract-worker-broken:0"
BROKEN = 'FROM {image}\nENTRYPOINT ["/bin/false"]\n'


@frozen
class Options:
    """What may be named instead of made: a base, a Redis, a folder of our wheels.

    Without a folder ours are the last releases, built from their commits; with `head`, the sources as they stand.
    """

    base: str | None = None
    redis: str | None = None
    released: Path | None = None
    head: bool = False


def try_images(options: Options) -> None:
    """The whole trial; everything that it made is gone at its end. Raises ImagesError at the first thing wrong."""
    with (
        tempfile.TemporaryDirectory(prefix="unstract-images-") as temporary,
        an_engine(Path(temporary)) as engine,
    ):
        folder = Path(temporary)
        with _step("base"):
            base = options.base or make_base(engine, folder)
            redis = options.redis or make_redis(engine, folder, base)
        with _step("wheels"):
            ours = options.released or (None if options.head else build_released(folder / "released"))
            fill(target_of(engine, base), released=ours)
        with _step("images"):
            images = {worker.name: build_worker(engine, worker, base) for worker in WORKERS}
            check_sizes(engine, base, images)
        site = Site.prepared(engine, folder, redis, free_port())
        try:
            _try_fleet(site, images)
        finally:
            site.remove()
            engine.remove_images(*images.values(), local_tag(BROKEN_TAG), local_tag(BASE_TAG), local_tag(REDIS_TAG))


def _try_fleet(site: Site, images: dict[str, str]) -> None:
    with _step("deploy, first time"):
        site.deploy("deploy")
    with _step("closed containers"):
        check_containers(site)
        check_redis(site)
    with running_backend(site, site.folder / "backend") as trial:
        with _step("executions end to end"):
            trial.finish_api(trial.start_api())
            trial.run_pipeline()
        with _step("a rolling update in the middle of an execution"):
            _roll_meanwhile(site, trial)
        with _step("an image that does not get healthy"):
            _roll_back(site, images["callback"])
            trial.finish_api(trial.start_api())
    with _step("status, scale, stop"):
        site.deploy("scale", "--workers", "file=2")
        site.deploy("status")
        site.deploy("stop")
        _check_ended(site)


def _roll_meanwhile(site: Site, trial: Trial) -> None:
    before = {worker.name: site.one(worker.name)["Id"] for worker in WORKERS}
    execution = trial.start_api()
    told = site.deploy("deploy", "--workers", "file")
    trial.finish_api(execution)
    if told.count("exit code 0") != 1:
        raise ImagesError("the replaced container did not end with 0")
    for worker in WORKERS:
        rolled = worker.name == "file-processing"
        if (site.one(worker.name)["Id"] != before[worker.name]) is not rolled:
            raise ImagesError(f"{worker.name} was {'not ' if rolled else ''}replaced")


def _roll_back(site: Site, image: str) -> None:
    """Callback's new image ends at once, after file-processing's was rolled: both run their old one again."""
    context = site.folder / "broken"
    context.mkdir()
    (context / "Dockerfile").write_text(BROKEN.format(image=image), encoding="utf-8")
    built(site.engine, context / "Dockerfile", context, BROKEN_TAG, ())
    before = {worker.name: site.one(worker.name)["Config"]["Image"] for worker in WORKERS}
    callback = site.one("callback")["Id"]
    broken = {"FILE_PROCESSING_IMAGE": local_tag(BROKEN_TAG)}
    told = site.deploy("deploy", "--workers", "callback,file", pins=broken, fails=True)
    if "rolling back" not in told or "file-processing: FAILED" not in told:
        raise ImagesError("deploy.sh did not say that it rolled back")
    if site.one("callback")["Id"] == callback:
        raise ImagesError("callback was not rolled")
    for worker in WORKERS:
        if site.one(worker.name)["Config"]["Image"] != before[worker.name]:
            raise ImagesError(f"{worker.name} runs another image after the rollback")


def _check_ended(site: Site) -> None:
    """SIGTERM drains: every container ended with 0 and was not killed."""
    for worker in WORKERS:
        for container in site.containers(worker.name, running=False):
            state = container["State"]
            if state["Status"] not in ("exited", "stopped") or state["ExitCode"] != 0:
                raise ImagesError(f"{container['Name']} ended as {state['Status']} with {state['ExitCode']}")
    say("every worker ended with exit code 0")


@contextlib.contextmanager
def _step(title: str) -> Iterator[None]:
    began = time.monotonic()
    say(f"--- {title}")
    yield
    say(f"--- {title}: {time.monotonic() - began:.0f} s")
