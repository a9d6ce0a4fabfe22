"""Whether a package index serves what was built, and what a release needs before it is published."""

import hashlib
import json
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from packaging.version import Version
from release_tool.packages import CORE, Package, Project
from release_tool.repository import ReleaseError, run

__all__ = ["check_published", "download", "readiness_faults"]

DIGEST = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
MACHINES = ("amd64", "arm64")
# An upload is not seen everywhere at once.
PATIENCE_SECONDS = 600.0
PAUSE_SECONDS = 15.0


def check_published(package: Package, version: Version, built: Path, folder: Path, index: str | None) -> str:
    """Downloads the published wheel and compares it with the one that was built; returns its SHA-256.

    Args:
        package: which package.
        version: the version that was published.
        built: the folder that holds the wheel that was built.
        folder: where the wheel is downloaded to.
        index: URL of the package index; None takes pip's.

    Raises:
        ReleaseError: the index does not offer that version within some minutes, or other bytes.
    """
    ours = list(built.glob(f"{package.module}-{version}-*.whl"))
    if len(ours) != 1:
        raise ReleaseError(f"{built} holds {len(ours)} wheels of {package.distribution} {version}, not one")
    download(f"{package.distribution}=={version}", folder, index)
    theirs = hashlib.sha256((folder / ours[0].name).read_bytes()).hexdigest()
    if theirs != hashlib.sha256(ours[0].read_bytes()).hexdigest():
        raise ReleaseError(f"the published {ours[0].name} ({theirs}) is not the one that was built")
    return theirs


def readiness_faults(package: Package, project: Project, base: str | None, index: str | None) -> Iterator[str]:
    """What is missing for a release of this package, to be known before anything of it is published.

    Args:
        package: which package.
        project: its version and range of core.
        base: base of its image, `NAME@sha256:DIGEST`.
        index: URL of the package index that it goes to; None takes pip's.
    """
    if project.needs_core is None:
        return
    core = f"{CORE.distribution}=={project.needs_core.lower}"
    with tempfile.TemporaryDirectory() as scratch:
        try:
            download(core, Path(scratch), index, patience=0)
        except ReleaseError as error:
            yield f"{core} is not on the package index: release core first, then run this again ({error})"
    yield from _base_faults(base or "", Path.cwd())


def _base_faults(base: str, folder: Path) -> Iterator[str]:
    if not DIGEST.fullmatch(base):
        yield f"the image's base is {base!r}: set the repository variable IMAGE_BASE to NAME@sha256:DIGEST"
        return
    try:
        manifest = json.loads(run(["docker", "buildx", "imagetools", "inspect", "--raw", base], cwd=folder))
    except (ReleaseError, ValueError) as error:
        yield f"the image's base {base} cannot be read from its registry ({error})"
        return
    platforms = (each.get("platform", {}) for each in manifest.get("manifests", ()))
    missing = set(MACHINES) - {each.get("architecture") for each in platforms if each.get("os") == "linux"}
    if missing:
        yield f"the image's base {base} is not there for linux on {', '.join(sorted(missing))}"


def download(wanted: str, folder: Path, index: str | None, *, patience: float = PATIENCE_SECONDS) -> None:
    """Downloads one wheel into a folder, without what it depends on, and waits until the index offers it."""
    folder.mkdir(parents=True, exist_ok=True)
    where = ["--index-url", index] if index is not None else []
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    command = [*pip, "--no-deps", "--only-binary=:all:", *where, "--dest", str(folder), wanted]
    deadline = time.monotonic() + patience
    while True:
        try:
            run(command, cwd=folder)
        except ReleaseError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return
