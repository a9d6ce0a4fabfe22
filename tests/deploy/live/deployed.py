"""The fleet as an operator has it: brought up by deploy.sh from the production compose file."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen
from engine import Engine
from unstract_images.building import tag_of
from unstract_images.running import ImagesError, say
from unstract_images.secret_files import write_secrets
from unstract_images.workers import DOCKER, WORKERS

__all__ = ["Site", "gateway_of"]

PROJECT = "unstract-workers-production"
NETWORK = "unstract-images-test"
HOLDER = "unstract-images-holder"
SECONDS = 400
VARIABLES = """\
SECRETS_DIR={folder}/secrets
PLATFORM_NETWORK={network}
PLATFORM_NETWORK_EXTERNAL=true
REDIS_IMAGE={redis}
INTERNAL_API_BASE_URL=http://{gateway}:{port}/internal
INTERNAL_SERVICE_API_KEY_FILE=/run/secrets/internal_api_key
CELERY_BROKER_BASE_URL=redis://redis:6379/0
CELERY_BROKER_USER=platform
CELERY_BROKER_PASS_FILE=/run/secrets/broker_password
REDIS_HOST=redis
REDIS_USERNAME=platform
REDIS_PASSWORD_FILE=/run/secrets/redis_password
WORKER_LEDGER_REDIS_URL_FILE=/run/secrets/ledger_url
"""


@frozen
class Site:
    """Where the fleet is deployed to. The platform's network has the backend at its gateway: on this machine."""

    engine: Engine
    folder: Path
    gateway: str
    port: int
    secrets: Mapping[str, str] = field(repr=False)

    @classmethod
    def prepared(cls, engine: Engine, folder: Path, redis: str, port: int) -> "Site":
        """Secrets, environment file and the platform's network."""
        engine.call("network", "create", NETWORK)
        # An engine may take a bridge down, and its gateway's address with it, while no container is in its network.
        engine.call(
            "run", "--detach", "--name", HOLDER, "--network", NETWORK, "--entrypoint", "sleep", redis, "infinity"
        )
        gateway = gateway_of(engine, NETWORK)
        secrets = write_secrets(folder / "secrets", {}, platform=True)
        site = cls(engine, folder, gateway, port, secrets)
        text = VARIABLES.format(folder=folder, network=NETWORK, redis=redis, gateway=gateway, port=port)
        # What was built just now; the compose file's own pins may name an earlier release.
        text += "".join(f"{worker.image_variable}={tag_of(worker)}\n" for worker in WORKERS)
        site.variables_file.write_text(text, encoding="utf-8")
        return site

    @property
    def variables_file(self) -> Path:
        """The environment file that is deployed."""
        return self.folder / "production.env"

    def deploy(self, action: str, *more: str, fails: bool = False, **changed: str) -> str:
        """Runs deploy.sh, with `changed` variables; what it printed. Raises ImagesError if it ends otherwise than asked."""
        variables = self.variables_file
        if changed:
            variables = self.folder / "changed.env"
            lines = self.variables_file.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if line.partition("=")[0] not in changed]
            variables.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in changed.items())]), "utf-8")
        command = (
            *(str(DOCKER / "deploy.sh"), "--environment", "production", "--action", action),
            *("--env-file", str(variables), "--state", str(self.folder / "state"), *more),
        )
        whole = {**os.environ, **self.engine.environment, "PATH": self.engine.path()}
        done = subprocess.run(
            command,
            env=whole,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        for line in done.stdout.splitlines():
            say(f"    {line}")
        if (done.returncode != 0) is not fails:
            raise ImagesError(f"deploy.sh --action {action} ended with {done.returncode}")
        return done.stdout

    def containers(self, service: str, *, running: bool = True) -> list[dict[str, Any]]:
        """What the engine knows of the containers of a service."""
        labels = (f"com.docker.compose.project={PROJECT}", f"com.docker.compose.service={service}")
        filters = [part for label in labels for part in ("--filter", f"label={label}")]
        found = self.engine.call("ps", "--quiet", *(() if running else ("--all",)), *filters).split()
        return self.engine.inspect(*found) if found else []

    def one(self, service: str) -> dict[str, Any]:
        """The one running container of a service. Raises ImagesError if there are more or none."""
        found = self.containers(service)
        if len(found) != 1:
            raise ImagesError(f"{service} has {len(found)} running containers instead of one")
        return found[0]

    def redis_address(self) -> str:
        """Where this machine reaches the ledger's Redis: on its internal network."""
        networks = self.one("redis")["NetworkSettings"]["Networks"]
        return next(str(network["IPAddress"]) for network in networks.values())

    def remove(self) -> None:
        """Everything that was deployed, its data and its network."""
        self.engine.refuses("rm", "--force", HOLDER)
        for service in (*("api-deployment", "general", "file-processing", "callback"), "redis"):
            for container in self.containers(service, running=False):
                self.engine.call("rm", "--force", "--volumes", container["Id"])
        for name in (f"{PROJECT}_ledger", f"{PROJECT}_webhooks", NETWORK):
            self.engine.refuses("network", "rm", name)
        self.engine.refuses("volume", "rm", f"{PROJECT}_ledger")


def gateway_of(engine: Engine, name: str) -> str:
    """The address that containers of a network reach this machine by, as docker or as podman describes it."""
    network = engine.inspect_network(name)
    if "IPAM" in network:
        return str(network["IPAM"]["Config"][0]["Gateway"])
    return str(network["subnets"][0]["gateway"])
