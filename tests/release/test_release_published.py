"""What a release needs is checked before it is published, and what an index serves is compared with what was built."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from packaging.version import Version
from release_tool.packages import package_named
from release_tool.repository import ReleaseError
from wheel_trials.published import check_published

BASE = f"registry.example/python@sha256:{'0' * 64}"


def wheel(folder: Path, package: str, version: str, content: str = "") -> Path:
    module = f"unstract_worker_{package}"
    information = f"{module}-{version}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}/__init__.py", content)
        archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path):
    """A package index that serves core 1.0.0."""
    page = tmp_path / "simple" / "unstract-worker-core"
    name = wheel(page, "core", "1.0.0").name
    page.joinpath("index.html").write_text(f'<a href="{name}">{name}</a>')
    return f"file://{page.parent}"


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A `docker` that knows one image, for the machines that the test names."""

    def serve(*machines: str) -> None:
        manifest = {"manifests": [{"platform": {"os": "linux", "architecture": each}} for each in machines]}
        docker = tmp_path / "bin" / "docker"
        docker.parent.mkdir(exist_ok=True)
        docker.write_text(f"#!/bin/sh\n[ \"$5\" = {BASE} ] || exit 1\necho '{json.dumps(manifest)}'\n")
        docker.chmod(0o755)
        monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")

    return serve


def test_core_needs_nothing_before_it(released):
    assert "core: all that a release needs is there" in released.ok("ready", "core", "--base", "", "--index", "")


def test_a_worker_needs_its_core_and_its_base(released, index, registry):
    registry("amd64", "arm64")
    assert "callback: all that a release needs is there" in released.ok(
        "ready", "callback", "--base", BASE, "--index", index
    )


def test_a_core_that_is_not_on_the_index_is_named(released, index, registry):
    registry("amd64", "arm64")
    released.replace(released.folder("callback") / "pyproject.toml", ">=1.0,<2", ">=1.1,<2")
    refused = released.refused("ready", "callback", "--base", BASE, "--index", index)
    assert "unstract-worker-core==1.1 is not on the package index: release core first" in refused


@pytest.mark.parametrize(
    ("base", "machines", "fault"),
    [
        ("", (), "the image's base is '': set the repository variable IMAGE_BASE"),
        ("python:3.13-slim", (), "set the repository variable IMAGE_BASE"),
        (BASE.replace("0", "1"), ("amd64", "arm64"), "cannot be read from its registry"),
        (BASE, ("amd64", "s390x"), "is not there for linux on arm64"),
    ],
)
def test_a_base_that_cannot_be_built_on_is_named(released, index, registry, base, machines, fault):
    registry(*machines)
    assert fault in released.refused("ready", "callback", "--base", base, "--index", index)


def test_the_published_wheel_is_the_one_that_was_built(index, tmp_path):
    core, built = package_named("core"), tmp_path / "dist"
    shutil.copytree(tmp_path / "simple" / "unstract-worker-core", built)
    assert len(check_published(core, Version("1.0.0"), built, tmp_path / "fetched", index)) == 64
    wheel(built, "core", "1.0.0", "other = True")
    with pytest.raises(ReleaseError, match="is not the one that was built"):
        check_published(core, Version("1.0.0"), built, tmp_path / "again", index)
