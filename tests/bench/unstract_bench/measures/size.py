"""P8: the disk space of a worker's base environment: its wheel installed into an empty environment."""

from collections.abc import Iterator
from pathlib import Path

from unstract_bench.costs import MIB
from unstract_bench.environment import install
from unstract_bench.figures import Figure, Measure
from unstract_bench.rounds import Setting
from unstract_devstack.fleet import WORKERS


def size_measures(setting: Setting) -> tuple[Measure, ...]:
    """P8."""
    setting.report("size: each worker's wheel is installed")
    figures, packages = [], 0
    for name in (f"unstract-worker-{kind.name}" for kind in WORKERS):
        folder = setting.directory / name
        (wheel,) = (setting.directory / "wheels").glob(f"{name.replace('-', '_')}-*.whl")
        install(folder, (str(wheel),), setting.python, "--find-links", str(wheel.parent))
        (site,) = folder.glob("lib/python*/site-packages")
        packages = max(packages, sum(1 for _ in site.glob("*.dist-info")))
        figures.append(Figure(name, "MiB", (sum(installed_bytes(site)) / MIB,), bar=22, stretch=19, least_rounds=1))
    title = "installed size of a worker's base environment (site-packages, no pip, no .pyc, no extras)"
    return (Measure("P8", title, tuple(figures), (f"at most {packages} packages",)),)


def installed_bytes(site: Path) -> Iterator[int]:
    """The sizes of all files below a site-packages folder, but pip's and compiled ones."""
    for path in site.rglob("*"):
        top = path.relative_to(site).parts[0]
        if path.is_file() and not path.is_symlink() and path.suffix != ".pyc" and top.partition("-")[0] != "pip":
            yield path.stat().st_size
