"""The container engine that images are built and tried with: docker where one answers, else a podman of our own."""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from private_podman import private_podman
from unstract_images.running import ImagesError, run, say

__all__ = ["Engine", "an_engine", "build", "local_tag"]

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
        return json.loads(self.call("inspect", *names))

    def inspect_network(self, name: str) -> dict[str, Any]:
        """What the engine knows of a network."""
        return json.loads(self.call("network", "inspect", name))[0]

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


def build(engine: Engine, tag: str, *arguments: str) -> str:
    """Builds an image without a network; its name. `arguments` end with the context."""
    options = ("--format", "docker", "--layers=false") if engine.program == "podman" else ()
    engine.call("build", *options, "--network", "none", "--tag", local_tag(tag), *arguments, seconds=300)
    return local_tag(tag)
