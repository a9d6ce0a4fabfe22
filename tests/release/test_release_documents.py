"""The two ways of UPGRADING.md to install by pin, as they are written there: `hatch run release-wheels`."""

import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.skipif("RELEASE_WHEELS" not in os.environ, reason="builds wheels: hatch run release-wheels"),
    pytest.mark.timeout(600),
]

ROOT = Path(__file__).parents[2]
BUILD = "hatch run release wheels --released --out dist"


def blocks() -> list[str]:
    text = (ROOT / "docker" / "UPGRADING.md").read_text(encoding="utf-8")
    return [block for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL) if "pip install" in block]


def version_of(package: str) -> str:
    text = (ROOT / "packages" / f"unstract-worker-{package}" / "pyproject.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["project"]["version"]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> Path:
    """The wheels of these sources: the locks are made for them."""
    folder = tmp_path_factory.mktemp("wheels")
    for package in ("core", "callback"):
        command = [sys.executable, str(ROOT / ".github" / "release"), "wheels", package, "--out", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True)
    return folder


@pytest.mark.parametrize("number", [0, 1], ids=["constraints", "hashes"])
def test_a_way_to_install_by_pin_works(tmp_path, wheels, number):
    assert len(blocks()) == 2
    assert blocks()[0].startswith(BUILD)  # what it builds: test_released_wheels_come_from_their_commits
    versions = {"CORE_VERSION": version_of("core"), "VERSION": version_of("callback"), BUILD: "", "dist ": f"{wheels} "}
    script = re.sub("|".join(map(re.escape, versions)), lambda found: versions[found[0]], blocks()[number])
    venv.create(tmp_path / "environment", with_pip=True)
    path = f"{tmp_path / 'environment' / 'bin'}:{os.environ['PATH']}"
    check = "\npip check && unstract-worker-callback --version"
    done = subprocess.run(
        ["bash", "-e", "-c", script + check],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert version_of("callback") in done.stdout
