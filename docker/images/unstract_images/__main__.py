"""The command line: lock, wheels, secrets, test."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from unstract_images.locks import all_locks, refresh, stale
from unstract_images.running import ImagesError, say
from unstract_images.secret_files import write_secrets
from unstract_images.trial import Options, try_images
from unstract_images.wheelhouse import Target, fill
from unstract_images.workers import WORKERS, worker_named


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what is asked; returns 0, or 1 with the reason."""
    told = _parser().parse_args(arguments)
    began = time.monotonic()
    try:
        if told.command == "lock":
            _lock(check=told.check)
        elif told.command == "wheels":
            workers = [worker_named(name) for name in told.worker or ()] or list(WORKERS)
            fill(Target(told.python, told.machine), released=told.released, workers=workers)
        elif told.command == "secrets":
            write_secrets(told.folder, {})
        else:
            try_images(Options(told.base, told.redis, told.released, told.head))
            say(f"images: all is well after {time.monotonic() - began:.0f} s")
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m unstract_images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    lock = commands.add_parser("lock", help="make docker/locks again")
    lock.add_argument("--check", action="store_true", help="only say whether they are current")
    wheels = commands.add_parser("wheels", help="fill docker/wheels, the images' build context")
    wheels.add_argument("--worker", action="append", metavar="NAME", help="only for this one; may be given again")
    wheels.add_argument("--python", default="3.13.0", help="version of the base's Python")
    wheels.add_argument("--machine", default="x86_64")
    secrets = commands.add_parser("secrets", help="write the secret files of a deployment, with new passwords")
    secrets.add_argument("folder", type=Path)
    trial = commands.add_parser("test", help="build the images and try them")
    trial.add_argument("--base", help="an image to build on; by default a stand-in is made")
    trial.add_argument("--redis", help="an image of Redis; by default a stand-in is made")
    trial.add_argument("--head", action="store_true", help="our sources as they stand instead of the last releases")
    for command in (wheels, trial):
        command.add_argument("--released", type=Path, help="a folder with our wheels, instead of building them")
    return parser


if __name__ == "__main__":
    sys.exit(main())
