"""Every pin is a released version."""

import shutil

import pytest
import yaml
from unstract_deploy.pins import default_pins, wanted_pins
from unstract_images.pins import releasable, write_pins
from unstract_images.workers import DOCKER, ROOT, WORKERS, packaged_version


def index() -> str:
    return (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_rows_of_the_release_index_are_read():
    rows = (
        "| 2026-01-03 | unstract-worker-callback | 1.10.0 | abc | >=1.2,<2 |\n"
        "| 2026-01-01 | unstract-worker-callback | 1.9.0 | abc | >=1.2,<2 |\n"
        "| 2026-01-02 | unstract-worker-general | 2.0.1 | abc | |\n"
    )
    assert releasable(rows, "unstract-worker-callback") == ["1.9.0", "1.10.0"]
    assert releasable(rows, "unstract-worker-general") == ["2.0.1"]
    # No row yet: what would be released first.
    unlisted = "unstract-worker-file-processing"
    assert releasable(rows, unlisted) == [packaged_version(unlisted)]


def test_pins_are_written_where_they_stand(tmp_path, monkeypatch):
    shutil.copytree(DOCKER / "kubernetes", tmp_path / "kubernetes")
    shutil.copy(DOCKER / "compose.production.yaml", tmp_path)
    row = "| 2026-01-01 | unstract-worker-callback | 12.34.56 | abc | |\n"
    (tmp_path / "CHANGELOG.md").write_text(row)
    monkeypatch.setattr("unstract_images.pins.DOCKER", tmp_path)
    monkeypatch.setattr("unstract_images.pins.ROOT", tmp_path)
    write_pins()
    pins = default_pins(tmp_path / "compose.production.yaml")
    assert pins["CALLBACK_IMAGE"] == "unstract-worker-callback:12.34.56"
    assert pins["GENERAL_IMAGE"] == f"unstract-worker-general:{packaged_version('unstract-worker-general')}"
    assert "image: unstract-worker-callback:12.34.56" in (tmp_path / "kubernetes" / "callback.yaml").read_text()


@pytest.mark.parametrize("worker", WORKERS, ids=lambda worker: worker.name)
def test_production_pins_a_released_version(worker):
    name, _, version = default_pins(DOCKER / "compose.production.yaml")[worker.image_variable].partition(":")
    assert name == worker.distribution
    assert version in releasable(index(), worker.distribution)


@pytest.mark.parametrize("worker", WORKERS, ids=lambda worker: worker.name)
def test_kubernetes_pins_what_production_pins(worker):
    documents = yaml.safe_load_all((DOCKER / "kubernetes" / f"{worker.name}.yaml").read_text(encoding="utf-8"))
    deployment = next(each for each in documents if each["kind"] == "Deployment")
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == default_pins(DOCKER / "compose.production.yaml")[worker.image_variable]


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_every_default_is_a_pin_that_a_deployment_takes(environment):
    from unstract_deploy.fleet import ENVIRONMENTS

    pins = wanted_pins({}, ENVIRONMENTS[environment])
    assert set(pins) == {"REDIS_IMAGE", *(worker.image_variable for worker in WORKERS)}
