"""`hatch run mixed-fleet`: every worker's last release among the others of the work tree, and the reverse."""

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import click

from release_tool.arguments import PACKAGE
from release_tool.building import CONSTRAINTS, uv
from release_tool.catalogue import CORE, WORKERS, Package
from release_tool.errors import ReleaseError
from release_tool.history import load_index, source_of
from release_tool.index import INDEX, Index, Row
from release_tool.mixing import Ended, Mix, Released, mixes, reading_faults, run_mix
from release_tool.processes import run
from release_tool.repository import Repository
from release_tool.scratch import scratch_folder
from release_tool.wheelhouse import Wheelhouse

__all__ = ["mixed_fleet"]


@click.command("mixed-fleet")
@click.argument("packages", type=PACKAGE, nargs=-1)
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Fleets at a time.")
@click.option("--messages-only", is_flag=True, help="Only whether they can read each other, without fleets.")
@click.option("--pytest", "options", multiple=True, help="A further option for pytest.")
@click.pass_obj
def mixed_fleet(
    repository: Repository, packages: tuple[Package, ...], jobs: int, options: tuple[str, ...], *, messages_only: bool
) -> None:
    """Run each worker's last release with the others as they stand, and the reverse, through acceptance scenarios.

    First each reads what the other writes: that names the field of a message or ledger record that one of them
    cannot read. With PACKAGES only the fleets that have one of these on their smaller side are run.
    """
    with scratch_folder() as scratch:
        released = list(_installed(Wheelhouse(repository, scratch / "wheels"), scratch))
        faults = [fault for each in released for fault in reading_faults(repository, each, Path(sys.executable))]
        for fault in faults:
            click.echo(f"cannot be read: {fault}", err=True)
        if faults:
            raise ReleaseError("workers of different releases do not understand each other")
        click.echo(f"messages and records: head and {len(released)} releases read each other")
        fleets = [] if messages_only else [mix for mix in mixes(released) if not packages or _concerns(mix, packages)]
        failed = [ended.mix.name for ended in _run(repository, fleets, scratch, options, jobs) if not _told(ended)]
        if failed:
            raise ReleaseError("failed: " + "; ".join(failed))


def _installed(house: Wheelhouse, scratch: Path) -> Iterator[Released]:
    index = load_index(house.repository)
    for package in WORKERS:
        row = index.latest(package)
        if row is None:
            raise ReleaseError(f"{package.name} has no release in {INDEX} to mix with")
        core = _core_of(house.repository, row)
        folder, root = scratch / package.name, house.repository.root
        run(uv("venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)), cwd=root)
        python = folder / "bin" / "python"
        install = uv("pip", "install", "--quiet", "--python", str(python), "--constraint", CONSTRAINTS)
        run([*install, str(house.of_release(row)), str(house.of_release(core))], cwd=root)
        _check_origin(python, package, folder)
        yield Released(package, str(row.version), str(core.version), python)


def _core_of(repository: Repository, row: Row) -> Row:
    """The newest core that was released when this release was."""
    commit = source_of(repository, row)
    then = Index.parse(repository.read_at(commit, INDEX) or "").latest(CORE)
    known = None if then is None else load_index(repository).find(CORE, then.version)
    if known is None:
        raise ReleaseError(f"{INDEX} at {commit} knows no release of core")
    return known


def _check_origin(python: Path, package: Package, folder: Path) -> None:
    for module in (CORE.module, package.module):
        origin = run([str(python), "-I", "-c", f"import {module}; print({module}.__file__)"], cwd=folder).strip()
        if not Path(origin).resolve().is_relative_to(folder.resolve()):
            raise ReleaseError(f"{module} comes from {origin}, not from its wheel")


def _concerns(mix: Mix, packages: Sequence[Package]) -> bool:
    inside = {each.package for each in mix.released}
    alone = inside if len(inside) == 1 else set(WORKERS) - inside
    return bool(alone & set(packages))


def _run(
    repository: Repository, fleets: Sequence[Mix], scratch: Path, options: Sequence[str], jobs: int
) -> Iterator[Ended]:
    with ThreadPoolExecutor(jobs) as pool:
        running = [
            pool.submit(run_mix, repository, mix, scratch / f"fleet-{number}", options)
            for number, mix in enumerate(fleets)
        ]
        yield from (each.result() for each in as_completed(running))


def _told(ended: Ended) -> bool:
    lines = ended.output.strip().splitlines()
    click.echo(f"{ended.mix.name}: {lines[-1] if ended.passed and lines else 'FAILED'} ({ended.seconds:.0f} s)")
    if not ended.passed:
        click.echo(ended.output)
        for complaint in ended.complaints:
            click.echo(f"a worker wrote: {complaint}")
    sys.stdout.flush()
    return ended.passed
