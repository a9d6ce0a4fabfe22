"""The commands: `hatch run release --help`. Those that build for an index and try wheels are in tests/release."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
from packaging.version import InvalidVersion, Version

from release_tool.building import Wheelhouse, copy_into, scratch_folder
from release_tool.changed import changed_since
from release_tool.changelog import section_of
from release_tool.check import check
from release_tool.index import commit_of, load_index, record, release_of
from release_tool.packages import PACKAGES, Package, current, package_named
from release_tool.pins import pins_of, write_pins
from release_tool.prepare import prepare, today
from release_tool.repository import ReleaseError, Repository, repository_at
from release_tool.status import status_of
from release_tool.versions import Bump


def package_argument(name: str) -> Package:
    """Reads a package from a command line."""
    try:
        return package_named(name)
    except ReleaseError as error:
        raise click.BadParameter(str(error)) from None


def version_argument(text: str) -> Version:
    """Reads a version from a command line."""
    try:
        return Version(text)
    except InvalidVersion as error:
        raise click.BadParameter(str(error)) from None


AS_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
ONE = click.argument("package", type=package_argument)
OUT = click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("dist"), show_default=True, help="Folder."
)


@click.group()
@click.pass_context
def commands(context: click.Context) -> None:
    """Releases of the packages, each on its own: core, api-deployment, general, file-processing, callback."""
    context.obj = repository_at(Path.cwd())


@commands.command()
@AS_JSON
@click.pass_obj
def status(repository: Repository, *, as_json: bool) -> None:
    """Which packages have changes that no release holds."""
    found = status_of(repository)
    if as_json:
        click.echo(json.dumps([each.as_json() for each in found], indent=2))
        return
    for each in found:
        for line in each.in_words():
            click.echo(line)


@commands.command("prepare")
@ONE
@click.option(
    "--bump",
    required=True,
    type=click.Choice([each.name.lower() for each in Bump]),
    help="How far the version moves; none is for a package's first release, of the version that it has.",
)
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="Date of the release; today in UTC if not given.")
@click.pass_obj
def prepare_command(repository: Repository, package: Package, bump: str, date: datetime | None) -> None:
    """Set the next version, write changelog, row of the index, and pins. Commits nothing."""
    day = today() if date is None else f"{date:%Y-%m-%d}"
    row = prepare(repository, package, Bump[bump.upper()], date=day)
    click.echo(f"{package.name} {row.version} of {row.date} is ready in the work tree. Next:")
    click.echo(f'  git commit --all --message "Release {package.name} {row.version}"   and land it')
    click.echo(f'  git tag --annotate {row.tag} --message "{package.distribution} {row.version}"')
    click.echo(f"  hatch run release check {package.name} --tag {row.tag}   and git push origin {row.tag}")
    click.echo("  hatch run release record   writes the commit into the index, for the next commit")


@commands.command("record")
@click.pass_obj
def record_command(repository: Repository) -> None:
    """Write the commits of releases into the index."""
    changed = record(repository)
    for row in changed:
        click.echo(f"{row.tag} is commit {row.commit}")
    if not changed:
        click.echo("the index names the commit of every committed release")


@commands.command("check")
@ONE
@click.option("--tag", help="The tag that this commit is to carry; without it, a tag is compared if there is one.")
@click.pass_obj
def check_command(repository: Repository, package: Package, tag: str | None) -> None:
    """Compare tag, version, changelog, index and range of core."""
    result = check(repository, package, tag=tag)
    for fault in result.faults:
        click.echo(f"wrong: {fault}", err=True)
    for note in result.notes:
        click.echo(f"note: {note}")
    if result.faults:
        sys.exit(1)
    click.echo(f"{package.tag(result.project.version)} is in order (needs core {result.project.core_text})")


@commands.command()
@ONE
@click.option("--version", type=version_argument, help="Another version than the current one.")
@click.pass_obj
def notes(repository: Repository, package: Package, version: Version | None) -> None:
    """Print the section of the changelog, for the release's page."""
    wanted = version or current(repository, package).version
    click.echo(section_of(package, repository.read(package.changelog), wanted).body)


@commands.command("version")
@ONE
@click.pass_obj
def version_command(repository: Repository, package: Package) -> None:
    """Print the version in pyproject.toml."""
    click.echo(current(repository, package).version)


@commands.command()
@AS_JSON
@click.pass_obj
def releases(repository: Repository, *, as_json: bool) -> None:
    """Every release and the commit that it was made of, newest first."""
    rows = [(row, commit_of(repository, row)) for row in load_index(repository).rows]
    if not as_json:
        for row, commit in rows:
            click.echo(f"{row.date}  {row.tag:28} {commit or 'not committed'}")
        return
    found = [
        {
            "package": row.package.name,
            "distribution": row.package.distribution,
            "version": str(row.version),
            "date": row.date,
            "commit": commit,
            "needs_core": row.needs_core,
        }
        for row, commit in rows
    ]
    click.echo(json.dumps(found, indent=2))


@commands.command()
@click.option("--check", "only_check", is_flag=True, help="Change nothing; exit code 1 if a number is another one.")
@click.pass_obj
def pins(repository: Repository, *, only_check: bool) -> None:
    """Write the newest releases into the README's table, the production compose file and the manifests."""
    wrong = tuple(pin for pin in pins_of(repository) if not pin.agrees) if only_check else write_pins(repository)
    for pin in wrong:
        click.echo(f"{pin.path}: {pin.package.name} {pin.found} -> {pin.wanted}")
    if wrong and only_check:
        raise ReleaseError("numbers that are not the newest release: hatch run release pins")
    if not wrong:
        click.echo("every number is the newest release, or the coming one where it may be")


@commands.command()
@click.option("--since", help="The branch or commit that this one is to be merged into; all packages without it.")
@click.pass_obj
def changed(repository: Repository, since: str | None) -> None:
    """Print as JSON which packages a change concerns."""
    click.echo(json.dumps(changed_since(repository, since).as_json()))


@commands.command()
@click.argument("packages", type=package_argument, nargs=-1)
@click.option("--released", is_flag=True, help="The last releases, from their commits, instead of the work tree.")
@OUT
@click.pass_obj
def wheels(repository: Repository, packages: tuple[Package, ...], out: Path, *, released: bool) -> None:
    """Build wheels once, without the checks of `build`, into a folder for `pip install --find-links`."""
    with scratch_folder() as scratch:
        house = Wheelhouse(repository, scratch)
        for package in packages or PACKAGES:
            row = release_of(repository, package, None) if released else None
            wheel = house.of_head(package) if row is None else house.of_release(row)
            click.echo(copy_into(out, wheel))


def main(further: Sequence[click.Command]) -> None:
    """Run a command, one of ours or a further one; a ReleaseError is one message and exit code 1."""
    for each in further:
        commands.add_command(each)
    try:
        commands(prog_name="release")
    except ReleaseError as error:
        click.echo(f"release: {error}", err=True)
        sys.exit(1)
