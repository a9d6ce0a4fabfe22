"""The commands that build for a package index and try what was built; `hatch run release --help` lists them beside those of the release tool."""

import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import click
from packaging.version import Version
from release_tool.building import Wheelhouse, build_twice, copy_into, scratch_folder
from release_tool.cli import OUT, package_argument, version_argument
from release_tool.index import release_of, source_of
from release_tool.packages import CORE, PACKAGES, Package, current
from release_tool.repository import ReleaseError, Repository

from wheel_trials.inspecting import inspect
from wheel_trials.installed_tests import Surroundings, ThirdParty, run_trials
from wheel_trials.installing import try_install
from wheel_trials.mixed_fleets import FleetResult, Mix, install_released, mixes, reading_faults, run_mix
from wheel_trials.published import check_published, download, readiness_faults
from wheel_trials.trials import Trial, WhichCore, downstream_trials, head_trials

__all__ = ["COMMANDS"]

SEVERAL = click.argument("packages", type=package_argument, nargs=-1)
JOBS = click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="How many at a time.")
PYTEST = click.option("--pytest", "options", multiple=True, help="A further option for pytest.")


@click.command()
@click.argument("package", type=package_argument)
@click.option("--version", type=version_argument, help="Build this release from its commit instead of the work tree.")
@OUT
@click.pass_obj
def build(repository: Repository, package: Package, version: Version | None, out: Path) -> None:
    """Build sdist and wheel, twice with the same bytes, and check whether they are fit to be published."""
    row = None if version is None else release_of(repository, package, version)
    revision = None if row is None else source_of(repository, row)
    expected = version or current(repository, package).version
    if revision is None and repository.changed_since("HEAD", package.contents):
        click.echo(f"note: {package.folder} holds changes that are not committed; they are in this build", err=True)
    with scratch_folder() as scratch:
        built = build_twice(repository, package.folder, scratch, revision=revision)
        faults = inspect(package, expected, built)
        if faults:
            raise ReleaseError("\n".join(faults))
        copy_into(out, built.sdist)
        copy_into(out, built.wheel)
        for name, digest in built.hashes().items():
            click.echo(f"{digest}  {name}")


@click.command("test-wheel")
@SEVERAL
@click.option(
    "--core", type=click.Choice([each.value for each in WhichCore]), help="Only with this core; both if not given."
)
@click.option("--python", help="Version of the interpreter, such as 3.13; the one that runs this if not given.")
@click.option("--latest", is_flag=True, help="Newest third-party versions instead of those of constraints.txt.")
@click.option(
    "--lowest", is_flag=True, help="Lowest versions of core's dependencies (and kombu) that its ranges allow."
)
@JOBS
@PYTEST
@click.pass_obj
def test_wheel(
    repository: Repository,
    packages: tuple[Package, ...],
    core: str | None,
    python: str | None,
    options: tuple[str, ...],
    *,
    latest: bool,
    lowest: bool,
    jobs: int,
) -> None:
    """Run each package's own tests against its installed wheel, with the lowest and the newest core of its range."""
    if latest and lowest:
        raise click.UsageError("--latest or --lowest, not both")
    third_party = ThirdParty.NEWEST if latest else ThirdParty.LOWEST if lowest else ThirdParty.PINNED
    cores = tuple(WhichCore) if core is None else (WhichCore(core),)
    with scratch_folder() as scratch:
        trials = list(head_trials(Wheelhouse(repository, scratch / "wheels"), packages or PACKAGES, cores))
        _try(Surroundings(repository, third_party, python, options), trials, scratch, jobs)


@click.command()
@JOBS
@click.pass_obj
def downstream(repository: Repository, jobs: int) -> None:
    """Run the own tests of each worker's last release with core as it is."""
    with scratch_folder() as scratch:
        trials = list(downstream_trials(Wheelhouse(repository, scratch / "wheels")))
        if not trials:
            click.echo("no worker is released that allows this core")
        _try(Surroundings(repository), trials, scratch, jobs)


@click.command("mixed-fleet")
@SEVERAL
@JOBS
@click.option("--messages-only", is_flag=True, help="Only whether they can read each other, without fleets.")
@PYTEST
@click.pass_obj
def mixed_fleet(
    repository: Repository, packages: tuple[Package, ...], jobs: int, options: tuple[str, ...], *, messages_only: bool
) -> None:
    """Run each worker's last release with the others as they are, and the reverse, through acceptance scenarios.

    First each reads what the other writes: that names the field of a message or ledger record that one of them
    cannot read. With PACKAGES only the fleets that have one of these on their smaller side are run.
    """
    with scratch_folder() as scratch:
        released = list(install_released(Wheelhouse(repository, scratch / "wheels"), scratch))
        faults = [fault for each in released for fault in reading_faults(repository, each, Path(sys.executable))]
        for fault in faults:
            click.echo(f"cannot be read: {fault}", err=True)
        if faults:
            raise ReleaseError("workers of different releases do not understand each other")
        click.echo(f"messages and records: head and {len(released)} releases read each other")
        if not messages_only:
            fleets = [mix for mix in mixes(released) if not packages or mix.concerns(packages)]
            _run_fleets(repository, fleets, scratch, options, jobs)


@click.command("try-install")
@SEVERAL
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
            _say(
                f"{package.name}: {line}"
                for line in try_install(package, version, folder or scratch / "wheels", scratch)
            )


@click.command()
@click.argument("package", type=package_argument)
@click.option("--base", help="Base of the worker's image: NAME@sha256:DIGEST.")
@click.option("--index", help="URL of the package index that it goes to; pip's if not given.")
@click.pass_obj
def ready(repository: Repository, package: Package, base: str | None, index: str | None) -> None:
    """Check what a release needs before it is published: its core on the package index, the base of its image."""
    faults = list(readiness_faults(package, current(repository, package), base, index or None))
    if faults:
        raise ReleaseError("\n".join(faults))
    click.echo(f"{package.name}: all that a release needs is there")


@click.command("verify")
@click.argument("package", type=package_argument)
@click.option("--built", type=click.Path(path_type=Path, exists=True), default=Path("dist"), show_default=True)
@click.option(
    "--index", help="URL of another package index for our packages, such as TestPyPI's; third parties stay pip's."
)
@click.pass_obj
def verify(repository: Repository, package: Package, built: Path, index: str | None) -> None:
    """Compare what the package index serves with what was built, and install and use it from there."""
    project, index = current(repository, package), index or None
    with scratch_folder() as scratch:
        digest = check_published(package, project.version, built, scratch / "published", index)
        click.echo(f"published {package.distribution} {project.version}: {digest}")
        folder = None if index is None else scratch / "published"
        if folder is not None and project.needs_core is not None:
            download(f"{CORE.distribution}{project.needs_core.text}", folder, index)
        _say(try_install(package, project.version, folder, scratch))


COMMANDS: tuple[click.Command, ...] = (build, test_wheel, downstream, mixed_fleet, try_install_command, ready, verify)


def _try(around: Surroundings, trials: Sequence[Trial], scratch: Path, jobs: int) -> None:
    failed = []
    for outcome in run_trials(around, trials, scratch, jobs=jobs):
        _say(_result(outcome.trial.name, outcome.output, outcome.seconds, passed=outcome.passed))
        if not outcome.passed:
            failed.append(outcome.trial.name)
    if failed:
        raise ReleaseError(f"failed: {'; '.join(failed)}")


def _run_fleets(
    repository: Repository, fleets: Sequence[Mix], scratch: Path, options: Sequence[str], jobs: int
) -> None:
    def run_one(number: int) -> FleetResult:
        return run_mix(repository, fleets[number], scratch / f"fleet-{number}", options)

    failed = []
    with ThreadPoolExecutor(jobs) as pool:
        for done in as_completed([pool.submit(run_one, number) for number in range(len(fleets))]):
            result = done.result()
            _say(_result(result.mix.name, result.output, result.seconds, passed=result.passed))
            if not result.passed:
                failed.append(result.mix.name)
                _say(f"a worker wrote: {complaint}" for complaint in result.complaints)
    if failed:
        raise ReleaseError(f"failed: {'; '.join(failed)}")


def _result(name: str, output: str, seconds: float, *, passed: bool) -> Iterable[str]:
    last = (output.strip().splitlines() or ["passed"])[-1]
    return [f"{name}: {last if passed else 'FAILED'} ({seconds:.0f} s)", *([] if passed else [output])]


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
        sys.stdout.flush()
