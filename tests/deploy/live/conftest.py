"""Images as an operator has them: built, brought up by deploy.sh from the production compose file, and worked with.

`hatch run images:test`. A docker that answers is used; else a podman in a temporary folder.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[2] / "docker" / "images")]

from deployed import Site  # noqa: E402
from engine import Engine, an_engine, build, local_tag  # noqa: E402
from execution import Trial, running_backend  # noqa: E402
from standins import BASE_TAG, BROKEN_TAG, REDIS_TAG, make_base, make_redis, target_of  # noqa: E402
from unstract_images.building import build_arguments, tag_of  # noqa: E402
from unstract_images.wheelhouse import build_released, fill  # noqa: E402
from unstract_images.workers import WORKERS  # noqa: E402

from unstract_devstack.ports import free_port  # noqa: E402


def pytest_addoption(parser):
    group = parser.getgroup("images", "the images")
    group.addoption("--base", help="an image to build on; by default a stand-in is made")
    group.addoption("--redis", help="an image of Redis; by default a stand-in is made")
    group.addoption("--released", type=Path, help="a folder with our wheels, instead of building them")
    group.addoption("--head", action="store_true", help="our sources as they are instead of the last releases")


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    # Not pytest's own, which it would keep: images are large.
    with tempfile.TemporaryDirectory(prefix="unstract-images-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def engine(folder) -> Iterator[Engine]:
    with an_engine(folder) as engine:
        yield engine


@pytest.fixture(scope="session")
def base(request, engine, folder) -> str:
    return request.config.getoption("--base") or make_base(engine, folder)


@pytest.fixture(scope="session")
def redis(request, engine, folder, base) -> str:
    return request.config.getoption("--redis") or make_redis(engine, folder, base)


@pytest.fixture(scope="session")
def images(request, engine, folder, base) -> Iterator[dict[str, str]]:
    """The image of each worker's variant, as callback-chord."""
    option = request.config.getoption
    ours = option("--released") or (None if option("--head") else build_released(folder / "released"))
    fill([target_of(engine, base)], released=ours)
    made = {
        "-".join(filter(None, (worker.name, variant))): build(
            engine, tag_of(worker, variant), *build_arguments(worker, base, variant)
        )
        for worker in WORKERS
        for variant in worker.variants
    }
    yield made
    engine.remove_images(*made.values(), *map(local_tag, (BROKEN_TAG, BASE_TAG, REDIS_TAG)))


@pytest.fixture(scope="module")
def site(engine, folder, redis, images) -> Iterator[Site]:
    """A place to deploy to; nothing is deployed yet."""
    site = Site.prepared(engine, folder, redis, free_port())
    try:
        yield site
    finally:
        site.remove()


@pytest.fixture(scope="module")
def trial(site) -> Iterator[Trial]:
    """The reference backend where the workers look for it. Its Redis is the deployed one: deploy before."""
    redis = f"redis://platform:{site.secrets['redis_password']}@{site.redis_address()}:6379/0"
    where = {"gateway": site.gateway, "port": site.port, "redis": redis, "key": site.secrets["internal_api_key"]}
    with running_backend(site.folder / "backend", **where) as trial:
        yield trial
