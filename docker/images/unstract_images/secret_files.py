"""Writes the secret files of a deployment: passwords made here, and the ACL of the ledger's Redis."""

import secrets
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from unstract_images.running import ImagesError

__all__ = ["write_secrets"]

# The ledger's user sees the ledger's keys alone; no user may empty, list or reconfigure the server.
ACL = """\
user default off
user health on nopass resetkeys resetchannels -@all +ping
user ledger on #{ledger} ~uw:* resetchannels +@all -@dangerous +info
"""
# Where this Redis is the broker and the platform's Redis as well.
PLATFORM_ACL = "user platform on #{platform} ~* &* +@all -@dangerous +info\n"


def write_secrets(folder: Path, given: Mapping[str, str], *, platform: bool = False) -> dict[str, str]:
    """Writes what is not `given` with new passwords; returns all by file name.

    Args:
        folder: made for its owner alone; the files in it can be read by containers that they are mounted into.
        given: contents that exist already, such as internal_api_key.
        platform: whether the ledger's Redis also serves the user `platform`, with redis_password.

    Raises:
        ImagesError: some of the files are there already; a running deployment would lose its passwords.
    """
    ledger = secrets.token_urlsafe(32)
    redis_password = given.get("redis_password") or secrets.token_urlsafe(32)
    acl = ACL.format(ledger=_digest(ledger))
    if platform:
        acl += PLATFORM_ACL.format(platform=_digest(redis_password))
    contents = {
        "internal_api_key": secrets.token_urlsafe(32),
        "broker_password": redis_password,
        "redis_password": redis_password,
        "ledger_url": f"redis://ledger:{ledger}@redis:6379/0",
        "redis_acl": acl,
        **given,
    }
    if there := [name for name in contents if (folder / name).exists()]:
        raise ImagesError(f"{folder} holds {', '.join(there)} already, and nothing was written: name another folder")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in contents.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o444)
    return contents


def _digest(password: str) -> str:
    return sha256(password.encode()).hexdigest()
