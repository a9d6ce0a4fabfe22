"""P8: what a worker's base environment takes on disk: its wheel in an empty environment of its own."""

import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from unstract_bench.costs import MIB
from unstract_bench.figures import Bar, Figure, Measure
from unstract_bench.plain import build_wheels, install
from unstract_bench.setting import Setting
from unstract_devstack.fleet import WORKERS

__all__ = ["installed_bytes", "size_measures"]

_LEFT_OUT = ("pip", "__pycache__")


def size_measures(setting: Setting) -> tuple[Measure, ...]:
    """P8."""
    setting.say("size: building the wheels, installing each worker's")
    wheels = build_wheels(setting.directory / "sizes")
    figures, packages = [], 0
    for name in (f"unstract-worker-{kind.name}" for kind in WORKERS):
        site = _installed(setting.directory / name, name, wheels)
        packages = max(packages, sum(1 for _ in site.glob("*.dist-info")))
        value = sum(installed_bytes(site)) / MIB
        figures.append(Figure(name, "MiB", (value,), held=Bar(28, 22), least_rounds=1))
    title = "installed size of a worker's base environment (site-packages, no pip, no .pyc, no extras)"
    return (Measure("P8", title, tuple(figures), (f"at most {packages} packages",)),)


def installed_bytes(site: Path) -> Iterator[int]:
    """The sizes of all files below a site-packages folder, but pip's and compiled ones."""
    for path in site.rglob("*"):
        parts = path.relative_to(site).parts
        left_out = any(part in _LEFT_OUT or part.startswith("pip-") for part in parts)
        if path.is_file() and not path.is_symlink() and not left_out and path.suffix != ".pyc":
            yield path.stat().st_size


def _installed(folder: Path, name: str, wheels: Sequence[Path]) -> Path:
    (wanted,) = (str(wheel) for wheel in wheels if wheel.name.startswith(f"{name.replace('-', '_')}-"))
    install(folder, (wanted,), "--find-links", str(wheels[0].parent))
    return Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
