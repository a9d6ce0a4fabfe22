"""What the workflows do is what a person can do: their steps are commands of hatch, and these exist."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", ".github/**/*.md", "docker/**/*.md", "packages/*/*.md", "tests/*/*.md")
    for path in ROOT.glob(pattern)
    if "hatch run" in path.read_text(encoding="utf-8") and path.name != "CHANGELOG.md"
)
PACKAGES = ("core", "api-deployment", "general", "file-processing", "callback")
COMMAND = re.compile(r"\bhatch run ([a-z:-]+)")
# What only makes sense on GitHub: its own outputs, registry, release pages, servers; and which jobs passed.
OF_GITHUB = {
    ("build-image.yml", "image"),
    ("ci.yml", "changes"),
    ("ci.yml", "pass"),
    ("full.yml", "operators"),
    *((f"release-{package}.yml", job) for package in PACKAGES for job in ("verify-image", "page")),
}
QUICK = {
    "lint:all",
    "workflows:check",
    "documents",
    "test",
    "more",
    "mixed-fleet",
    "images:lint",
    "scaling:check",
    "release",
}
FULL = {
    *("mixed-fleet", "faults", "faults:crash-points", "faults:see", "bench", "bench:test", "images:test", "release"),
    *("release-wheels", "operate", "traces:test", "monitoring:check", "monitoring:live", "rabbitmq", "rabbitmq-faults"),
    *("brokers", "executor", "valkey:test", "moving", "page:test"),
}
PORTS = {"api-deployment": "8080", "general": "8081", "file-processing": "8082", "callback": "8083"}


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def runs(path):
    for name, job in read(path)["jobs"].items():
        for step in job.get("steps", ()):
            if "run" in step:
                yield name, step["run"]


def scripts():
    environments = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["envs"]
    for environment, parsed in environments.items():
        for script in parsed.get("scripts", {}):
            yield script if environment == "default" else f"{environment}:{script}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_command_exists(path):
    used = {command for _, text in runs(path) for command in COMMAND.findall(text)}
    assert used <= set(scripts())


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_document_names_exists(path):
    text = path.read_text(encoding="utf-8")
    used = {command for command in COMMAND.findall(text) if command != "python"}
    assert used <= set(scripts())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_lives_only_in_yaml(path):
    own = {job for job, text in runs(path) for line in text.strip().splitlines() if not line.startswith("hatch run ")}
    assert {(path.name, job) for job in own} <= OF_GITHUB


def commands(name):
    path = ROOT / ".github" / "workflows" / name
    matrix = [each["command"] for job in read(path)["jobs"].values() for each in includes(job)]
    return {*(command for _, text in runs(path) for command in COMMAND.findall(text)), *matrix}


def includes(job):
    return job.get("strategy", {}).get("matrix", {}).get("include", ())


def test_ci_is_the_quick_tier_and_waits_for_all_of_it():
    assert commands("ci.yml") == QUICK
    jobs = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    assert set(jobs["pass"]["needs"]) == set(jobs) - {"pass"}


def test_the_full_tier_is_run_nightly_before_releases_and_on_request():
    assert commands("full.yml") == FULL
    callers = {path.name for path in WORKFLOWS if "$/.github/workflows/full.yml" in path.read_text()}
    assert callers == {"ci.yml", "nightly.yml", *(f"release-{package}.yml" for package in PACKAGES)}


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_published_before_everything_is_checked(package):
    jobs = read(ROOT / ".github" / "workflows" / f"release-{package}.yml")["jobs"]
    assert set(jobs["publish"]["needs"]) == {"build", "full", *(["downstream"] if package == "core" else [])}
    assert jobs["publish"]["if"] == jobs["full"]["if"] == "github.event_name == 'push'"
    base = {} if package == "core" else {"base": "${{ vars.IMAGE_BASE }}"}
    assert base.items() <= jobs["build"]["with"].items()
    checks = [text for _, text in runs(ROOT / ".github" / "workflows" / "build-wheel.yml")]
    assert [each.split()[3] for each in checks] == ["check", "ready", "build", "test-wheel", "notes"]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_rehearsal_reaches_testpypi_alone_and_every_upload_can_be_repeated(package):
    jobs = read(ROOT / ".github" / "workflows" / f"release-{package}.yml")["jobs"]
    uploads = {name: jobs[name]["steps"][-1]["with"] for name in ("publish", "rehearse")}
    assert [name for name, job in jobs.items() if "pypi-publish" in str(job)] == ["publish", "rehearse"]
    assert "repository-url" not in uploads["publish"]
    assert uploads["rehearse"]["repository-url"] == "https://test.pypi.org/legacy/"
    assert all(each["skip-existing"] for each in uploads.values())
    assert jobs["rehearse"]["if"] == "inputs.index == 'testpypi'"


def test_what_is_published_takes_nothing_from_a_cache():
    for name in ("build-wheel.yml", "build-image.yml", "verify-wheel.yml"):
        steps = [step for job in read(ROOT / ".github" / "workflows" / name)["jobs"].values() for step in job["steps"]]
        hatch = [step for step in steps if step.get("uses") == "$/.github/actions/hatch"]
        assert hatch, name
        assert all(step["with"]["cache"] == "false" for step in hatch), name


@pytest.mark.parametrize("package", PORTS)
def test_the_workers_are_released_alike(package):
    def text(name):
        lines = (ROOT / ".github" / "workflows" / f"release-{name}.yml").read_text().splitlines()
        kept = (line.replace(PORTS[name], "PORT").replace(name, "NAME") for line in lines if "variants:" not in line)
        return list(kept)

    assert text(package) == text("callback")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_tag_releases_its_package_and_no_other(package):
    path = ROOT / ".github" / "workflows" / f"release-{package}.yml"
    text, parsed = path.read_text(), read(path)
    assert parsed[True]["push"]["tags"] == [f"{package}-v[0-9]+.[0-9]+.[0-9]+"]  # YAML 1.1 reads `on` as true
    others = [each for each in PACKAGES if each != package]
    assert not [each for each in others if re.search(rf"\b(unstract-worker-|package: |verify ){each}\b", text)]
    assert {"build", "publish", "verify", "page"} <= set(parsed["jobs"])
    assert ("image" in parsed["jobs"]) is (package != "core")
