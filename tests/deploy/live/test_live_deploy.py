"""The images deployed, worked with, rolled, broken and stopped, in this order: each test goes on where the last one ended."""

import pytest
from engine import build, local_tag
from inspection import DENIED, denied_commands, problems
from standins import BROKEN_TAG
from unstract_images.running import say
from unstract_images.workers import VARIANTS, WORKERS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MEGABYTE = 1_000_000
# What an image may add over its base, in megabytes: what was measured and a tenth more.
BARS = {"": 39.0, "chord": 83.0, "platform": 128.0}
NEEDED_BY = {"chord": ("psycopg2", "sqlalchemy"), "platform": ("fsspec", "s3fs")}
DEAD_BROKER = "redis://redis:6399/0"
BROKEN = 'FROM {image}\nENTRYPOINT ["/bin/false"]\n'


def test_images_are_small_and_variants_hold_what_they_are_for(engine, base, images):
    below = engine.image_size(base)
    heavy = {}
    for worker in WORKERS:
        for variant in worker.variants:
            name = "-".join(filter(None, (worker.name, variant)))
            added = (engine.image_size(images[name]) - below) / MEGABYTE
            say(f"{name}: {added:.1f} MB over its base (bar {BARS[variant]:.1f})")
            if added > BARS[variant]:
                heavy[name] = added
            for extra, modules in NEEDED_BY.items():
                found = engine.call(
                    *("run", "--rm", "--network", "none", "--entrypoint", "/opt/worker/bin/python", images[name], "-c"),
                    f"from importlib.util import find_spec; print(all(map(find_spec, {modules!r})))",
                ).strip()
                assert found == str(extra in VARIANTS[variant]), name
    assert heavy == {}


def test_a_fleet_that_could_not_work_is_not_deployed(site):
    """The backend is not there: what starts is ready, and fails its own check."""
    printed = site.deploy("deploy", "--workers", "callback", "--health-timeout", "60", fails=True)
    assert "backend" in printed
    assert site.containers("callback", running=False) == []
    assert site.one("redis")["State"]["Running"]


def test_deploy(site, trial):
    site.deploy("deploy")


@pytest.mark.parametrize("worker", WORKERS, ids=lambda worker: worker.name)
def test_containers_are_closed(site, worker):
    assert list(problems(site, worker)) == []


def test_the_ledgers_redis_takes_what_workers_need_and_nothing_else(site):
    redis = site.one("redis")
    assert not redis["HostConfig"]["PortBindings"]
    assert len(redis["NetworkSettings"]["Networks"]) == 1
    assert denied_commands(site) == set(DENIED)


def test_executions_end_to_end(trial):
    trial.finish_api(trial.start_api())
    trial.run_pipeline()


def test_a_rolling_update_in_the_middle_of_an_execution(site, trial):
    before = {worker.name: site.one(worker.name)["Id"] for worker in WORKERS}
    execution = trial.start_api()
    printed = site.deploy("deploy", "--workers", "file")
    trial.finish_api(execution)
    assert printed.count("exit code 0") == 1
    after = {worker.name: site.one(worker.name)["Id"] for worker in WORKERS}
    assert [name for name in before if before[name] != after[name]] == ["file-processing"]


def test_workers_that_cannot_reach_their_broker_replace_nothing(site, trial):
    before = {worker.name: site.one(worker.name)["Id"] for worker in WORKERS}
    wrong = {"CELERY_BROKER_BASE_URL": DEAD_BROKER}
    printed = site.deploy("deploy", "--health-timeout", "25", fails=True, **wrong)
    assert "waits for" in printed
    assert "not connected to the broker" in printed
    assert "drains" not in printed
    assert {worker.name: site.one(worker.name)["Id"] for worker in WORKERS} == before
    trial.finish_api(trial.start_api())


def test_an_image_that_ends_at_once_takes_everything_back(site, trial, images):
    """Callback is rolled before file-processing's image fails: both run their old ones again."""
    context = site.folder / "broken"
    context.mkdir()
    (context / "Dockerfile").write_text(BROKEN.format(image=images["callback"]), encoding="utf-8")
    build(site.engine, BROKEN_TAG, str(context))
    before = {worker.name: site.one(worker.name)["Config"]["Image"] for worker in WORKERS}
    callback = site.one("callback")["Id"]
    pin = {"FILE_PROCESSING_IMAGE": local_tag(BROKEN_TAG)}
    printed = site.deploy("deploy", "--workers", "callback,file", fails=True, **pin)
    assert "callback: rolling back" in printed
    assert "file-processing: FAILED" in printed
    assert site.one("callback")["Id"] != callback
    assert {worker.name: site.one(worker.name)["Config"]["Image"] for worker in WORKERS} == before
    trial.finish_api(trial.start_api())


def test_status_scale_and_a_stop_that_drains(site, trial):
    site.deploy("scale", "--workers", "file=2")
    assert len(site.containers("file-processing")) == 2
    site.deploy("status")
    site.deploy("stop")
    for worker in WORKERS:
        for container in site.containers(worker.name, running=False):
            assert container["State"]["Status"] in ("exited", "stopped")
            assert container["State"]["ExitCode"] == 0
