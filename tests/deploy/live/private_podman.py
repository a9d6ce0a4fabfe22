"""A podman of our own: storage, networks and socket in one folder, so that nothing of it stays and nothing else is met.

What Debian's podman needs where there is no systemd: runc instead of crun, cgroups by files, events in a file, limits
that a container may really set, and somebody who runs the health checks.
"""

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from unstract_images.running import ImagesError, run

from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until

__all__ = ["private_podman"]

PROGRAMS = ("podman", "runc", "conmon")
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""
CONTAINERS = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
tmp_dir = "{folder}/tmp"
volume_path = "{folder}/volumes"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
START_SECONDS = 20.0
HEALTH_PAUSE = 2.0


@contextlib.contextmanager
def private_podman(folder: Path) -> Iterator[Mapping[str, str]]:
    """The variables that make podman, and docker-compose, use a podman in `folder`; ended and removed at the end.

    Raises:
        ImagesError: it cannot run here, and what is missing.
    """
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise ImagesError(f"no container engine answers, and podman lacks {', '.join(missing)}")
    if os.geteuid() != 0:
        raise ImagesError("no container engine answers, and podman with networks and limits needs root here")
    for name, text in (("storage.conf", STORAGE), ("containers.conf", CONTAINERS)):
        (folder / name).write_text(text.format(folder=folder), encoding="utf-8")
    environment = {
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "DOCKER_HOST": f"unix://{folder}/podman.sock",
        "DISABLE_HC_SYSTEMD": "true",
    }
    service = _service(folder, environment)
    ended = threading.Event()
    checks = threading.Thread(target=_check_health, args=(environment, ended), name="health checks")
    try:
        service.start()
        if not wait_until((folder / "podman.sock").exists, seconds=START_SECONDS) or not service.running:
            raise ImagesError(str(service.failure("does not serve its socket")))
        checks.start()
        yield environment
    finally:
        ended.set()
        if checks.is_alive():
            checks.join()
        _remove(folder, environment, service)


def _service(folder: Path, environment: Mapping[str, str]) -> ManagedProcess:
    return ManagedProcess(
        name="podman",
        command=("podman", "system", "service", "--time=0", f"unix://{folder}/podman.sock"),
        environment={**inherited_environment(), **environment},
        log_path=folder / "podman.log",
    )


def _check_health(environment: Mapping[str, str], ended: threading.Event) -> None:
    """Runs the health checks of all containers, as systemd's timers would; podman keeps the outcomes."""
    whole = {**os.environ, **environment}
    while not ended.wait(HEALTH_PAUSE):
        listed = subprocess.run(("podman", "ps", "-q"), env=whole, capture_output=True, text=True, check=False)
        for identifier in listed.stdout.split():
            if ended.is_set():
                return
            subprocess.run(("podman", "healthcheck", "run", identifier), env=whole, capture_output=True, check=False)


def _remove(folder: Path, environment: Mapping[str, str], service: ManagedProcess) -> None:
    """Ends every container and gives back what they hold; the folder itself is its owner's."""
    commands = (
        ("podman", "rm", "--all", "--force", "--time", "0"),
        ("podman", "network", "prune", "--force"),
        ("podman", "volume", "prune", "--force"),
    )
    for command in commands:
        with contextlib.suppress(ImagesError):  # one that fails must not keep the others from their part
            run(command, seconds=60, environment=environment)
    service.stop()
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        if line.split(" ")[1].startswith(f"{folder}/"):
            subprocess.run(("umount", "--lazy", line.split(" ")[1]), check=False)
