"""What the workflows do is what a person can do: their steps are commands of hatch, and these exist."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PACKAGES = ("core", "api-deployment", "general", "file-processing", "callback")
COMMAND = re.compile(r"\bhatch run ([a-z:-]+)")
# What only makes sense on GitHub: its own outputs, registry, release pages, servers; and which jobs passed.
OF_GITHUB = {
    ("build-image.yml", "image"),
    ("ci.yml", "changes"),
    ("ci.yml", "operators"),
    ("ci.yml", "pass"),
    *((f"release-{package}.yml", job) for package in PACKAGES for job in ("verify-image", "page")),
}
IN_CI = {
    *("lint:all", "workflows:check", "test", "more", "mixed-fleet", "faults", "faults:crash-points", "bench"),
    *("images:lint", "images:test", "release"),
}


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def runs(path):
    for name, job in read(path)["jobs"].items():
        for step in job.get("steps", ()):
            if "run" in step:
                yield name, step["run"]


def scripts():
    environments = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["envs"]
    for environment, told in environments.items():
        for script in told.get("scripts", {}):
            yield script if environment == "default" else f"{environment}:{script}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_exists(path):
    used = {command for _, text in runs(path) for command in COMMAND.findall(text)}
    assert used <= set(scripts())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_lives_only_in_yaml(path):
    own = {job for job, text in runs(path) for line in text.strip().splitlines() if not line.startswith("hatch run ")}
    assert {(path.name, job) for job in own} <= OF_GITHUB


def test_ci_runs_all_of_it_and_waits_for_all_of_it():
    (path,) = (each for each in WORKFLOWS if each.name == "ci.yml")
    assert {command for _, text in runs(path) for command in COMMAND.findall(text)} >= IN_CI
    jobs = read(path)["jobs"]
    assert set(jobs["pass"]["needs"]) == set(jobs) - {"pass"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_tag_releases_its_package_and_no_other(package):
    path = ROOT / ".github" / "workflows" / f"release-{package}.yml"
    text, told = path.read_text(), read(path)
    assert told[True]["push"]["tags"] == [f"{package}-v[0-9]+.[0-9]+.[0-9]+"]  # YAML 1.1 reads `on` as true
    others = [each for each in PACKAGES if each != package]
    assert not [each for each in others if re.search(rf"\b(unstract-worker-|package: |verify ){each}\b", text)]
    assert {"build", "publish", "verify", "page"} <= set(told["jobs"])
    assert ("image" in told["jobs"]) is (package != "core")
