"""The commands that build wheels, and those that show that what is built works."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from packaging.version import Version

from release_tool.arguments import PACKAGE, VERSION
from release_tool.building import build_twice
from release_tool.catalogue import CORE, PACKAGES, Package
from release_tool.errors import ReleaseError
from release_tool.history import current, source_of
from release_tool.inspecting import inspect
from release_tool.installing import try_install
from release_tool.mixed_fleet import mixed_fleet
from release_tool.published import check_published
from release_tool.repository import Repository
from release_tool.scratch import scratch_folder
from release_tool.sources import copy_into
from release_tool.trials import WhichCore, downstream_trials, head_trials
from release_tool.trying import Surroundings, Trial, run_trials
from release_tool.wheelhouse import Wheelhouse, release_of

__all__ = ["COMMANDS"]


@click.command()
@click.argument("package", type=PACKAGE)
@click.option("--version", type=VERSION, help="Build this release from its commit instead of the work tree.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("dist"), show_default=True)
@click.pass_obj
def build(repository: Repository, package: Package, version: Version | None, out: Path) -> None:
    """Build sdist and wheel, twice with the same bytes, and look whether they are fit to be published."""
    row = None if version is None else release_of(repository, package, version)
    revision = None if row is None else source_of(repository, row)
    expected = current(repository, package).version if row is None else row.version
    if revision is None and repository.changed_since("HEAD", package.contents):
        click.echo(f"note: {package.folder} holds changes that are not committed; they are in this build", err=True)
    with scratch_folder() as scratch:
        built = build_twice(repository, package.folder, scratch, revision=revision)
        faults = inspect(package, expected, built)
        if faults:
            raise ReleaseError("\n".join(faults))
        for file in built.files:
            copy_into(out, file)
        for name, digest in built.hashes().items():
            click.echo(f"{digest}  {name}")


@click.command("test-wheel")
@click.argument("packages", type=PACKAGE, nargs=-1)
@click.option(
    "--core", type=click.Choice([each.value for each in WhichCore]), help="Only with this core; both if not given."
)
@click.option("--python", help="Version of the interpreter, such as 3.13; the one that runs this if not given.")
@click.option("--latest", is_flag=True, help="Newest third-party versions instead of those of constraints.txt.")
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True)
@click.option("--pytest", "options", multiple=True, help="A further option for pytest.")
@click.pass_obj
def test_wheel(
    repository: Repository,
    packages: tuple[Package, ...],
    core: WhichCore | None,
    python: str | None,
    options: tuple[str, ...],
    *,
    latest: bool,
    jobs: int,
) -> None:
    """Run each package's own tests against its installed wheel, with the lowest and the newest core of its range."""
    around = Surroundings(repository, python, latest, options)
    with scratch_folder() as scratch:
        house = Wheelhouse(repository, scratch / "wheels")
        cores = tuple(WhichCore) if core is None else (WhichCore(core),)
        _try(around, list(head_trials(house, packages or PACKAGES, cores)), scratch, jobs)


@click.command()
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True)
@click.pass_obj
def downstream(repository: Repository, jobs: int) -> None:
    """Run the own tests of each worker's last release with core as it stands."""
    with scratch_folder() as scratch:
        trials = list(downstream_trials(Wheelhouse(repository, scratch / "wheels")))
        if not trials:
            click.echo("no worker is released that allows this core")
            return
        _try(Surroundings(repository), trials, scratch, jobs)


@click.command("wheels")
@click.argument("packages", type=PACKAGE, nargs=-1)
@click.option("--released", is_flag=True, help="The last releases, from their commits, instead of the work tree.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("dist"), show_default=True)
@click.pass_obj
def wheels(repository: Repository, packages: tuple[Package, ...], out: Path, *, released: bool) -> None:
    """Build wheels once, without the checks of `build`, into a folder for `pip install --find-links`."""
    with scratch_folder() as scratch:
        house = Wheelhouse(repository, scratch)
        for package in packages or PACKAGES:
            row = release_of(repository, package, None) if released else None
            wheel = house.of_head(package) if row is None else house.of_release(row)
            click.echo(copy_into(out, wheel))


@click.command("try-install")
@click.argument("packages", type=PACKAGE, nargs=-1)
@click.option("--wheels", "folder", type=click.Path(path_type=Path, exists=True), help="Wheels; built if not given.")
@click.pass_obj
def try_install_command(repository: Repository, packages: tuple[Package, ...], folder: Path | None) -> None:
    """Install packages with pip into empty environments, and use the commands that they bring."""
    for package in packages or PACKAGES:
        with scratch_folder() as scratch:
            if folder is None:
                house = Wheelhouse(repository, scratch / "built")
                for each in {CORE, package}:
                    copy_into(scratch / "wheels", house.of_head(each))
            version = current(repository, package).version
            for line in try_install(package, version, folder or scratch / "wheels", scratch):
                click.echo(f"{package.name}: {line}")


@click.command("verify")
@click.argument("package", type=PACKAGE)
@click.option("--built", type=click.Path(path_type=Path, exists=True), default=Path("dist"), show_default=True)
@click.pass_obj
def verify(repository: Repository, package: Package, built: Path) -> None:
    """Look whether the package index serves what was built, and install and use it from there."""
    version = current(repository, package).version
    with scratch_folder() as scratch:
        click.echo(f"published {package.distribution} {version}: {check_published(package, version, built, scratch)}")
    with scratch_folder() as scratch:
        for line in try_install(package, version, None, scratch):
            click.echo(line)


COMMANDS: tuple[click.Command, ...] = (build, test_wheel, downstream, wheels, try_install_command, verify, mixed_fleet)


def _try(around: Surroundings, trials: Sequence[Trial], scratch: Path, jobs: int) -> None:
    failed = []
    for outcome in run_trials(around, trials, scratch, jobs=jobs):
        lines = outcome.output.strip().splitlines()
        said = lines[-1] if outcome.passed and lines else "FAILED"
        click.echo(f"{outcome.trial.name}: {said} ({outcome.seconds:.0f} s)")
        if not outcome.passed:
            failed.append(outcome.trial.name)
            click.echo(outcome.output)
        sys.stdout.flush()
    if failed:
        raise ReleaseError(f"failed: {'; '.join(failed)}")
