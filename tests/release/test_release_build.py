"""Real builds and installations, which need the package index: `hatch run release-wheels`."""

import os
import zipfile

import pytest

pytestmark = pytest.mark.skipif("RELEASE_WHEELS" not in os.environ, reason="builds wheels: hatch run release-wheels")

HOOK = """
import os, time
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

class Hook(BuildHookInterface):
    def initialize(self, version, build_data):
        with open("src/unstract_worker_callback/where.py", "w") as file:
            file.write(f"zone = {os.environ.get('TZ')!r}\\n")
"""


def hashes(output: str) -> dict[str, str]:
    return {name: digest for digest, name in (line.split() for line in output.splitlines())}


def test_a_build_is_the_same_from_the_tag_from_later_commits_and_from_the_index(released):
    first = hashes(released.ok("build", "callback"))
    assert set(first) == {"unstract_worker_callback-1.0.0.tar.gz", "unstract_worker_callback-1.0.0-py3-none-any.whl"}
    assert {path.name for path in (released.root / "dist").iterdir()} == set(first)
    released.release_one("general")
    assert hashes(released.ok("build", "callback")) == first
    released.release_one("callback")
    assert hashes(released.ok("build", "callback", "--version", "1.0.0")) == first
    assert set(hashes(released.ok("build", "callback"))).isdisjoint(first)


def test_a_build_that_depends_on_its_surroundings_is_refused(released):
    folder = released.folder("callback")
    folder.joinpath("hatch_build.py").write_text(HOOK)
    with folder.joinpath("pyproject.toml").open("a") as file:
        file.write("\n[tool.hatch.build.hooks.custom]\n")
    output = released.refused("build", "callback")
    assert "two builds of packages/unstract-worker-callback differ in" in output
    assert not released.root.joinpath("dist").exists()


def test_a_build_with_incomplete_metadata_is_refused(released):
    released.folder("callback").joinpath("README.md").write_text("# A package\n")
    output = released.refused("build", "callback")
    assert "the readme has 1 lines" in output


def test_released_wheels_come_from_their_commits(released, tmp_path):
    released.source("core").write_text('"""Later."""\n')
    released.ok("wheels", "core", "--released", "--out", str(tmp_path / "wheels"))
    (wheel,) = (tmp_path / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("unstract_worker_core/__init__.py") == b'"""Hardly any source."""\n'


def test_a_folder_that_cannot_be_made_is_one_line(released, tmp_path):
    (file := tmp_path / "file").touch()
    assert f"cannot be copied to {file / 'below'}: " in released.refused(
        "wheels", "core", "--released", "--out", str(file / "below")
    )


def test_the_lowest_core_is_really_tried(released):
    """A worker that uses what only the newest core has fails with the lowest one, and passes once it asks for more."""
    stack = released.root / "tests" / "devstack" / "src" / "unstract_devstack"
    stack.mkdir(parents=True)
    stack.joinpath("__init__.py").touch()
    stack.parents[1].joinpath("pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "unstract-devstack"\nversion = "0"\n'
    )
    tests = released.folder("callback") / "tests"
    tests.mkdir()
    tests.joinpath("test_it.py").write_text("from unstract_worker_core import NEW\n\ndef test_it():\n    assert NEW\n")
    released.source("core").write_text("NEW = True\n")
    released.release_one("core")
    done = released.release("test-wheel", "callback")
    assert done.code == 1
    assert "callback 1.0.0 with core 1.0.0, the lowest: FAILED" in done.out
    assert "callback 1.0.0 with core 1.1.0 as it is: 1 passed" in done.out
    released.replace(released.folder("callback") / "pyproject.toml", ">=1.0,<2", ">=1.1,<2")
    assert "with core 1.1.0, the lowest and newest: 1 passed" in released.ok("test-wheel", "callback")
