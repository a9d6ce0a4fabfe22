"""The container engine that images are built and tried with: docker where one answers, else a podman of our own."""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from unstract_images.private_podman import private_podman
from unstract_images.running import ImagesError, run, say

__all__ = ["Engine", "an_engine", "built", "local_tag"]

SECONDS = 120.0


@frozen
class Engine:
    """The program, and the variables that it and docker-compose need."""

    program: str
    environment: Mapping[str, str]

    def call(self, *arguments: str, seconds: float = SECONDS) -> str:
        """What the engine prints for a command. Raises ImagesError."""
        return run((self.program, *arguments), seconds=seconds, environment=self.environment)

    def refuses(self, *arguments: str) -> bool:
        """Whether a command fails."""
        try:
            self.call(*arguments)
        except ImagesError:
            return True
        return False

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        """What the engine knows of containers or images."""
        told: list[dict[str, Any]] = json.loads(self.call("inspect", *names))
        return told

    def inspect_network(self, name: str) -> dict[str, Any]:
        """What the engine knows of a network."""
        told: list[dict[str, Any]] = json.loads(self.call("network", "inspect", name))
        return told[0]

    def remove_images(self, *names: str) -> None:
        """Removes those of these images that are there."""
        for name in names:
            self.refuses("rmi", "--force", name)

    def path(self) -> str:
        """PATH with the docker-compose of this Python environment."""
        return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def image_size(self, image: str) -> int:
        """Bytes of an image with everything below it."""
        return int(self.call("image", "inspect", "--format", "{{.Size}}", image))


def local_tag(name: str) -> str:
    """An image's name as docker and podman both find it without asking a registry."""
    return f"docker.io/library/{name}"


@contextlib.contextmanager
def an_engine(folder: Path) -> Iterator[Engine]:
    """An engine that works, until the block is left. Raises ImagesError if there is none."""
    if shutil.which("docker") is not None:
        with contextlib.suppress(ImagesError):
            version = run(("docker", "version", "--format", "{{.Server.Version}}"), seconds=30).strip()
            say(f"engine: docker {version}")
            yield Engine("docker", {})
            return
    with private_podman(folder) as environment:
        version = run(("podman", "--version"), seconds=30, environment=environment).strip()
        say(f"engine: {version}, of our own in {folder}")
        yield Engine("podman", environment)


def built(engine: Engine, dockerfile: Path, context: Path, tag: str, arguments: Sequence[str]) -> None:
    """Builds an image without a network."""
    options = ("--format", "docker", "--layers=false") if engine.program == "podman" else ()
    engine.call(
        *("build", *options, "--network", "none", "--file", str(dockerfile), "--tag", local_tag(tag)),
        *(part for argument in arguments for part in ("--build-arg", argument)),
        str(context),
        seconds=300,
    )
