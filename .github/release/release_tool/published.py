"""Whether the package index serves what was built."""

import hashlib
import sys
import time
from pathlib import Path

from packaging.version import Version

from release_tool.catalogue import Package
from release_tool.errors import ReleaseError
from release_tool.processes import run

__all__ = ["check_published"]

# An upload is not seen everywhere at once.
PATIENCE_SECONDS = 600.0
PAUSE_SECONDS = 15.0


def check_published(package: Package, version: Version, built: Path, scratch: Path) -> str:
    """Fetches the published wheel and compares it with the one that was built; returns its hash.

    Args:
        package: which package.
        version: the version that was published.
        built: the folder that holds the wheel that was built.
        scratch: an empty folder.

    Raises:
        ReleaseError: the index does not offer that version within some minutes, or other bytes.
    """
    ours = list(built.glob(f"{package.module}-{version}-*.whl"))
    if len(ours) != 1:
        raise ReleaseError(f"{built} holds {len(ours)} wheels of {package.distribution} {version}, not one")
    _fetch(f"{package.distribution}=={version}", scratch)
    theirs = hashlib.sha256((scratch / ours[0].name).read_bytes()).hexdigest()
    if theirs != hashlib.sha256(ours[0].read_bytes()).hexdigest():
        raise ReleaseError(f"the published {ours[0].name} ({theirs}) is not the one that was built")
    return theirs


def _fetch(wanted: str, scratch: Path) -> None:
    # The environment of this tool may be one without pip.
    run([sys.executable, "-m", "venv", str(scratch / "environment")], cwd=scratch)
    python = scratch / "environment" / "bin" / "python"
    pip = [str(python), "-m", "pip", "download", "--quiet", "--no-cache-dir", "--no-deps", "--only-binary=:all:"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            run([*pip, "--dest", str(scratch), wanted], cwd=scratch)
        except ReleaseError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return
