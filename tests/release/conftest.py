"""A small workspace in a git repository of its own: our packages' real metadata and tools, hardly any source."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import define

ROOT = Path(__file__).parents[2]
TOOL = ROOT / ".github" / "release"
sys.path[:0] = [str(TOOL), str(Path(__file__).parent)]

PACKAGES = ("core", "api-deployment", "general", "file-processing", "callback")
DAY = "2026-01-02"
EMPTY_INDEX = """# Releases

| date | package | version | commit | needs core |
| --- | --- | --- | --- | --- |

Read on.
"""
EMPTY_CHANGELOG = "# Changelog\n\n<!-- towncrier release notes start -->\n"


@define
class Done:
    """How a command of the tool ended."""

    code: int
    out: str
    err: str


@define
class Workspace:
    """A repository, and the tool that works on it."""

    root: Path

    def release(self, *arguments: str) -> Done:
        command = [sys.executable, str(TOOL), *arguments]
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str) -> str:
        done = self.release(*arguments)
        assert done.code == 0, done.err
        return done.out

    def refused(self, *arguments: str) -> str:
        done = self.release(*arguments)
        assert done.code == 1, done.out
        return done.err

    def status(self, package: str) -> dict[str, Any]:
        return next(each for each in json.loads(self.ok("status", "--json")) if each["package"] == package)

    def folder(self, package: str) -> Path:
        return self.root / "packages" / f"unstract-worker-{package}"

    def source(self, package: str) -> Path:
        return self.folder(package) / "src" / f"unstract_worker_{package.replace('-', '_')}" / "__init__.py"

    def replace(self, path: Path, before: str, after: str) -> None:
        text = path.read_text()
        assert before in text, text
        path.write_text(text.replace(before, after))

    def fragment(self, package: str, name: str = "a.feature.md", text: str = "Something new.") -> None:
        (self.folder(package) / "changes" / name).write_text(f"{text}\n")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, message: str = "Something") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def touched(self) -> set[str]:
        return {line.split(maxsplit=1)[1] for line in self.git("status", "--porcelain").splitlines()}

    def release_all(self) -> str:
        """Version 1.0.0 of every package, in one commit whose hash the index names."""
        for package in PACKAGES:
            self.fragment(package)
        self.commit("Write")
        self.ok("prepare", "core", "--bump", "major", "--date", DAY)
        for package in PACKAGES[1:]:
            self.replace(self.folder(package) / "pyproject.toml", "core>=0.1,<1", "core>=1.0,<2")
            self.ok("prepare", package, "--bump", "major", "--date", DAY)
        commit = self.commit("Release")
        for package in PACKAGES:
            self.git("tag", f"{package}-v1.0.0")
        self.ok("record")
        self.commit("Record")
        return commit

    def release_one(self, package: str, bump: str = "minor") -> str:
        self.fragment(package)
        self.commit("Write")
        self.ok("prepare", package, "--bump", bump, "--date", "2026-02-03")
        return self.commit(f"Release {package}")


def _package(root: Path, package: str) -> None:
    folder = root / "packages" / f"unstract-worker-{package}"
    original = ROOT / "packages" / folder.name
    source = folder / "src" / folder.name.replace("-", "_")
    source.mkdir(parents=True)
    source.joinpath("__init__.py").write_text('"""Hardly any source."""\n')
    source.joinpath("py.typed").touch()
    source.joinpath("__main__.py").write_text("def main():\n    print('here')\n")
    folder.joinpath("changes").mkdir()
    folder.joinpath("changes", ".gitkeep").touch()
    folder.joinpath("README.md").write_text("# A package\n\n" + "What it is for.\n" * 12)
    folder.joinpath("CHANGELOG.md").write_text(EMPTY_CHANGELOG)
    shutil.copy(original / "LICENSE", folder)
    text = (original / "pyproject.toml").read_text()
    text = re.sub(r'(?m)^version = ".*"$', 'version = "0.1.0"', text, count=1)
    text = re.sub(r"unstract-worker-core>=[\w.]+,<\d+", "unstract-worker-core>=0.1,<1", text)
    folder.joinpath("pyproject.toml").write_text(text)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "workspace"
    for package in PACKAGES:
        _package(root, package)
    root.joinpath("CHANGELOG.md").write_text(EMPTY_INDEX)
    for name in ("constraints.txt", "pyproject.toml", ".gitignore", ".github/release/changelog.jinja"):
        root.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    workspace = Workspace(root)
    workspace.git("init", "--quiet", "--initial-branch", "main")
    workspace.git("config", "user.email", "tests@example.org")
    workspace.git("config", "user.name", "Tests")
    workspace.git("config", "commit.gpgsign", "false")
    workspace.commit("First")
    return root


@pytest.fixture(scope="session")
def released_template(template: Path) -> Path:
    root = template.parent / "released"
    shutil.copytree(template, root, symlinks=True)
    Workspace(root).release_all()
    return root


@pytest.fixture
def make_workspace(tmp_path: Path) -> Callable[[Path], Workspace]:
    def make(source: Path) -> Workspace:
        return Workspace(shutil.copytree(source, tmp_path / "workspace", symlinks=True))

    return make


@pytest.fixture
def workspace(template: Path, make_workspace: Callable[[Path], Workspace]) -> Workspace:
    """Nothing was ever released; every version is 0.1.0."""
    return make_workspace(template)


@pytest.fixture
def released(released_template: Path, make_workspace: Callable[[Path], Workspace]) -> Workspace:
    """All packages are released as 1.0.0, from the last commit but one."""
    return make_workspace(released_template)
