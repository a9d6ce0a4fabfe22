"""The pip commands of UPGRADING.md, run with wheels of the sources here in an environment of their own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from unstract_images.workers import CORE, DOCKER, ROOT, project_of

WORKER = "unstract-worker-callback"
BLOCKS = re.findall(r"```console\n(.*?)```", (DOCKER / "UPGRADING.md").read_text(encoding="utf-8"), re.DOTALL)
PIP = [[line for line in block.splitlines() if line.startswith("pip ")] for block in BLOCKS]


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    for distribution in (CORE, WORKER):
        run("uv", "build", "--quiet", "--wheel", str(ROOT / "packages" / distribution), "--out-dir", str(folder))
    return folder


@pytest.mark.timeout(600)
@pytest.mark.parametrize("lines", [lines for lines in PIP if lines], ids=["constraints", "hashes"])
def test_an_installation_by_the_book_starts(dist, tmp_path, lines):
    run("uv", "venv", "--quiet", str(tmp_path / "venv"))
    python = str(tmp_path / "venv" / "bin" / "python")
    core, worker = (str(project_of(name)["version"]) for name in (CORE, WORKER))
    for line in lines:
        filled = line.replace("CORE_VERSION", core).replace("VERSION", worker).replace(" dist ", f" {dist} ")
        run(sys.executable, "-m", "pip", "--python", python, *filled.split()[1:])
    run("uv", "pip", "check", "--quiet", "--python", python)
    assert worker in run(str(tmp_path / "venv" / "bin" / WORKER), "--version")
