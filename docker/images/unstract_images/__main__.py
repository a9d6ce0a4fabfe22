"""The command line: lock, wheels, build, secrets."""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from unstract_images.building import build_arguments, tag_of
from unstract_images.locks import all_locks, refresh, stale
from unstract_images.running import ImagesError
from unstract_images.secret_files import write_secrets
from unstract_images.wheelhouse import Target, fill
from unstract_images.workers import VARIANTS, WORKERS, worker_named

MACHINES = ("x86_64", "aarch64")


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what is asked; returns 0, or 1 with the reason."""
    options = _parser().parse_args(arguments)
    try:
        match options.command:
            case "lock":
                _lock(check=options.check)
            case "wheels":
                workers = [worker_named(name) for name in options.worker or ()] or list(WORKERS)
                targets = [Target(options.python, machine) for machine in options.machine or ("x86_64",)]
                fill(targets, released=options.released, workers=workers)
            case "build":
                _build(options)
            case "secrets":
                write_secrets(options.folder, {})
    except (ImagesError, ValueError) as error:
        sys.stderr.write(f"images: {error}\n")
        return 1
    return 0


def _lock(*, check: bool) -> None:
    """Makes the locks again, or says which are not what they would be."""
    wrong = []
    for lock in all_locks():
        text = refresh(lock)
        if not check:
            lock.path.write_text(text, encoding="utf-8")
        elif stale(lock) or lock.path.read_text(encoding="utf-8") != text:
            wrong.append(lock.path.name)
    if wrong:
        raise ImagesError(f"not current: {', '.join(wrong)}; run `hatch run images:lock`")


def _build(options: argparse.Namespace) -> None:
    worker = worker_named(options.worker)
    if options.variant not in worker.variants:
        variants = ", ".join(filter(None, worker.variants)) or "none"
        raise ImagesError(f"{worker.name} has no variant {options.variant!r}: {variants}")
    tag = options.tag or tag_of(worker, options.variant)
    engine = next(filter(shutil.which, ("docker", "podman")), None)
    # Podman's own format has no HEALTHCHECK.
    formatted = ("--format", "docker") if engine == "podman" else ()
    command = ("build", *formatted, "--tag", tag, *build_arguments(worker, options.base, options.variant))
    if options.print:
        sys.stdout.write(" ".join((engine or "docker", *command)) + "\n")
    elif engine is None:
        raise ImagesError("neither docker nor podman is installed")
    elif subprocess.call((engine, *command)):
        raise ImagesError(f"{tag} could not be built")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m unstract_images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    lock = commands.add_parser("lock", help="make docker/locks again")
    lock.add_argument("--check", action="store_true", help="only say whether they are current")
    wheels = commands.add_parser("wheels", help="fill docker/wheels, the images' build context")
    wheels.add_argument("--worker", action="append", metavar="NAME", help="only for this one; may be given again")
    wheels.add_argument("--python", default="3.13.0", help="version of the base's Python")
    wheels.add_argument("--machine", action="append", choices=MACHINES, help="may be given again (x86_64)")
    wheels.add_argument("--released", type=Path, help="a folder with our wheels, instead of building them")
    build = commands.add_parser("build", help="build an image from docker/wheels, tagged with its wheel's version")
    build.add_argument("worker")
    build.add_argument("--variant", default="", choices=[name for name in VARIANTS if name])
    build.add_argument("--base", default="python:3.13-slim-bookworm", help="image to build on")
    build.add_argument("--tag", help="instead of name and version")
    build.add_argument("--print", action="store_true", help="only print the command")
    secrets = commands.add_parser("secrets", help="write the secret files of a deployment, with new passwords")
    secrets.add_argument("folder", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main())
