"""The numbers in README, compose file and manifests come from the release index."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGES = "docker/kubernetes/images/kustomization.yaml"
UNSTRACT = "docker/compose.unstract.yaml"
NUMBERED = ("README.md", "docker/compose.production.yaml", UNSTRACT, IMAGES)


@pytest.fixture
def numbered(released):
    for name in NUMBERED:
        (released.root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, released.root / name)
    released.ok("pins")
    released.commit("Numbers")
    return released


def read(workspace, name):
    return (workspace.root / name).read_text(encoding="utf-8")


def test_what_stands_in_this_repository_is_what_was_released():
    command = [sys.executable, str(ROOT / ".github" / "release"), "pins", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "every number is the newest release, or the coming one where it may be\n"


def test_each_place_is_found(numbered):
    assert read(numbered, "README.md").count("| 1.0.0 |") == 5
    assert read(numbered, "docker/compose.production.yaml").count(":1.0.0}") == 4
    assert read(numbered, IMAGES).count("newTag: 1.0.0") == 8


def test_a_release_moves_its_own_numbers_alone(numbered):
    numbered.release_one("callback")
    assert "callback) | 1.1.0 |" in read(numbered, "README.md")
    assert "general) | 1.0.0 |" in read(numbered, "README.md")
    compose = read(numbered, "docker/compose.production.yaml")
    assert "${CALLBACK_IMAGE:-unstract-worker-callback:1.1.0}" in compose
    assert compose.count(":1.0.0}") == 3
    assert read(numbered, IMAGES).count("unstract-worker-callback\n    newTag: 1.1.0") == 2
    assert read(numbered, IMAGES).count("newTag: 1.0.0") == 6


def test_the_override_of_the_platforms_project_may_name_the_release_in_development(numbered):
    def named(package, version):
        numbered.replace(
            numbered.root / UNSTRACT, f"unstract-worker-{package}:1.0.0", f"unstract-worker-{package}:{version}"
        )

    named("callback", "2.0.0")
    assert "docker/compose.unstract.yaml: callback 2.0.0 -> 1.0.0" in numbered.release("pins", "--check").out
    numbered.replace(numbered.folder("callback") / "pyproject.toml", 'version = "1.0.0"', 'version = "2.0.0.dev0"')
    numbered.ok("pins", "--check")
    named("general", "2.0.0")
    numbered.ok("pins")
    assert "unstract-worker-callback:2.0.0-chord" in read(numbered, UNSTRACT)
    assert "unstract-worker-general:1.0.0-chord" in read(numbered, UNSTRACT)


def test_a_number_that_nobody_released_is_named(numbered):
    path = numbered.root / "docker/compose.production.yaml"
    numbered.replace(path, "unstract-worker-general:1.0.0", "unstract-worker-general:1.0.1")
    done = numbered.release("pins", "--check")
    assert done.code == 1
    assert "docker/compose.production.yaml: general 1.0.1 -> 1.0.0" in done.out
    numbered.ok("pins")
    assert numbered.touched() == set()
