"""The commands: `hatch run release --help`."""

import json
import sys
from datetime import datetime
from pathlib import Path

import click
from packaging.version import Version

from release_tool.arguments import PACKAGE, VERSION
from release_tool.bumps import Bump
from release_tool.catalogue import Package
from release_tool.changed import changed_since
from release_tool.changelog import section_of
from release_tool.check import check
from release_tool.errors import ReleaseError
from release_tool.history import commit_of, current, load_index, record
from release_tool.pins import pins_of, write_pins
from release_tool.prepare import prepare, today
from release_tool.repository import Repository, repository_at
from release_tool.status import status_of
from release_tool.wheel_commands import COMMANDS

__all__ = ["main"]


@click.group()
@click.pass_context
def commands(context: click.Context) -> None:
    """Releases of the packages, each on its own: core, api-deployment, general, file-processing, callback."""
    context.obj = repository_at(Path.cwd())


for each in COMMANDS:
    commands.add_command(each)


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
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
@click.argument("package", type=PACKAGE)
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
    tag = package.tag(row.version)
    click.echo(f"{package.name} {row.version} of {row.date} is ready in the work tree. Next:")
    click.echo(f'  git commit --all --message "Release {package.name} {row.version}"   and land it')
    click.echo(f'  git tag --annotate {tag} --message "{package.distribution} {row.version}"')
    click.echo(f"  hatch run release check {package.name} --tag {tag}   and git push origin {tag}")
    click.echo("  hatch run release record   writes the commit into the index, for the next commit")


@commands.command("record")
@click.pass_obj
def record_command(repository: Repository) -> None:
    """Write the commits of releases into the index."""
    changed = record(repository)
    for row in changed:
        click.echo(f"{row.package.tag(row.version)} is commit {row.commit}")
    if not changed:
        click.echo("the index names the commit of every committed release")


@commands.command("check")
@click.argument("package", type=PACKAGE)
@click.option("--tag", help="The tag that this commit is to carry; without it, a tag is looked at if it is there.")
@click.pass_obj
def check_command(repository: Repository, package: Package, tag: str | None) -> None:
    """Look whether tag, version, changelog, index and range of core agree."""
    verdict = check(repository, package, tag=tag)
    for fault in verdict.faults:
        click.echo(f"wrong: {fault}", err=True)
    for note in verdict.notes:
        click.echo(f"note: {note}")
    if verdict.faults:
        sys.exit(1)
    click.echo(f"{package.tag(verdict.project.version)} is in order (needs core {verdict.project.core_text})")


@commands.command()
@click.argument("package", type=PACKAGE)
@click.option("--version", type=VERSION, help="Another version than the current one.")
@click.pass_obj
def notes(repository: Repository, package: Package, version: Version | None) -> None:
    """Print the section of the changelog, for the release's page."""
    wanted = version or current(repository, package).version
    click.echo(section_of(package, repository.read(package.changelog), wanted).body)


@commands.command()
@click.argument("package", type=PACKAGE)
@click.pass_obj
def version(repository: Repository, package: Package) -> None:
    """Print the version that pyproject.toml says."""
    click.echo(current(repository, package).version)


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON array on stdout.")
@click.pass_obj
def releases(repository: Repository, *, as_json: bool) -> None:
    """Every release and the commit that it was made of, newest first."""
    rows = [(row, commit_of(repository, row)) for row in load_index(repository).rows]
    if as_json:
        told = [
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
        click.echo(json.dumps(told, indent=2))
        return
    for row, commit in rows:
        click.echo(f"{row.date}  {row.package.tag(row.version):28} {commit or 'not committed'}")


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
        click.echo("every number is the newest release of the index")


@commands.command()
@click.option("--since", help="The branch or commit that this one is to be merged into; all packages without it.")
@click.pass_obj
def changed(repository: Repository, since: str | None) -> None:
    """Print as JSON which packages a change concerns."""
    click.echo(json.dumps(changed_since(repository, since).as_json()))


def main() -> None:
    """Run a command; what stands in the way of a release is one message and exit code 1."""
    try:
        commands(prog_name="release")
    except ReleaseError as error:
        click.echo(f"release: {error}", err=True)
        sys.exit(1)
