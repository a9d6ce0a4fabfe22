"""Every pin is a released version."""

import json
import re

import pytest
import yaml
from unstract_deploy.environment import _PIN, compose_file_of, default_pins
from unstract_images.workers import DOCKER, ROOT, VARIANTS, WORKERS, project_of

ROW = re.compile(r"^\|[^|]*\| *(unstract-worker-[a-z-]+) *\| *(\d+\.\d+\.\d+) *\|", re.MULTILINE)


def released(distribution: str) -> set[str]:
    index = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return {version for name, version in ROW.findall(index) if name == distribution}


@pytest.mark.parametrize("worker", WORKERS, ids=lambda worker: worker.name)
def test_production_pins_a_released_version(worker):
    name, _, version = default_pins(DOCKER / "compose.production.yaml")[worker.image_variable].partition(":")
    assert name == worker.distribution
    assert version in released(worker.distribution)


def test_kubernetes_pins_what_production_pins():
    images = yaml.safe_load((DOCKER / "kubernetes" / "images" / "kustomization.yaml").read_text(encoding="utf-8"))[
        "images"
    ]
    tags = {each["name"]: each["newTag"] for each in images}
    pins = default_pins(DOCKER / "compose.production.yaml")
    for worker in WORKERS:
        version = pins[worker.image_variable].partition(":")[2]
        assert tags.pop(worker.distribution) == version
        for variant in filter(None, worker.variants):
            assert tags.pop(f"{variant}/{worker.distribution}") == f"{version}-{variant}"
    assert tags == {}


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_every_default_is_a_pin_that_a_deployment_takes(environment):
    pins = default_pins(compose_file_of(environment))
    others = {"REDIS_IMAGE", "PROMETHEUS_IMAGE", "GRAFANA_IMAGE"}
    assert set(pins) == others | {worker.image_variable for worker in WORKERS}
    assert all(_PIN.fullmatch(image) for image in pins.values())


def test_the_override_of_the_platforms_project_pins_a_release_or_the_one_in_development():
    pins = default_pins(DOCKER / "compose.unstract.yaml")
    for worker in WORKERS:
        name, _, tag = pins.pop(worker.image_variable).partition(":")
        version, _, variant = tag.partition("-")
        coming = str(project_of(worker.distribution)["version"]).removesuffix(".dev0")
        assert name == f"ghcr.io/zipstack/{worker.distribution}"
        assert version in {*released(worker.distribution), coming}
        assert variant in worker.variants
    assert pins == {}


def test_the_pipeline_publishes_every_variant():
    workflows = ROOT / ".github" / "workflows"
    (job,) = yaml.safe_load((workflows / "build-image.yml").read_text(encoding="utf-8"))["jobs"].values()
    built = [step["with"] for step in job["steps"] if step.get("uses", "").endswith("/actions/image")]
    extras = {each.get("variant", ""): tuple(filter(None, each.get("extras", "").split(","))) for each in built}
    assert extras == VARIANTS
    for worker in WORKERS:
        jobs = yaml.safe_load((workflows / f"release-{worker.name}.yml").read_text(encoding="utf-8"))["jobs"]
        given = jobs["image"]["with"]
        assert ("", *json.loads(given.get("variants", "[]"))) == worker.variants
        assert given["health-port"] == str(worker.health_port)
