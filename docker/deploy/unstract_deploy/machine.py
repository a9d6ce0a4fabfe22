"""Whether this machine has what a deployment needs besides its environment file."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from unstract_deploy.fleet import Environment

__all__ = ["secret_problems"]

SECRETS = ("internal_api_key", "broker_password", "redis_password", "ledger_url", "redis_acl")


def secret_problems(values: Mapping[str, str], environment: Environment) -> Iterator[str]:
    """What is wrong with the secret files."""
    if environment.builds:
        return
    folder = environment.compose_file.parent / values["SECRETS_DIR"]
    for name in SECRETS:
        yield from _problems(folder / name)


def _problems(path: Path) -> Iterator[str]:
    try:
        told = path.stat()
    except OSError:
        yield f"the secret {path} is missing"
        return
    if not stat.S_ISREG(told.st_mode) or told.st_size == 0:
        yield f"the secret {path} is empty or no file"
    if told.st_mode & stat.S_IWOTH:
        yield f"the secret {path} may be written by everybody: chmod o-w"
    # Containers run as another user, and compose mounts the file as it is.
    if not told.st_mode & stat.S_IROTH and told.st_uid not in (10001, 999):
        yield f"the secret {path} cannot be read inside the containers: chmod o+r it in a folder that is yours alone"
