"""Stand-ins for images that a machine without a registry cannot fetch: a base with Python, and a Redis.

They carry tags of their own, so that they are not mistaken for the official ones.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from engine import Engine, build, local_tag
from unstract_images.running import ImagesError, run, tool
from unstract_images.wheelhouse import Target

__all__ = ["BASE_TAG", "BROKEN_TAG", "REDIS_TAG", "make_base", "make_redis", "target_of"]

BASE_TAG = "unstract-base-standin:bookworm"
REDIS_TAG = "unstract-redis-standin:local"
BROKEN_TAG = "unstract-worker-broken:0"
MIRROR = "http://deb.debian.org/debian"
DEBOOTSTRAP_SECONDS = 400.0
IMPORT_SECONDS = 180.0
# Of the base itself: a second copy of them would not fit its loader.
OF_THE_BASE = re.compile(r"(ld-linux.*|libc|libm|libgcc_s|libpthread|libdl|librt)\.so")
REDIS_DOCKERFILE = """\
FROM {base}
COPY bin/ /usr/local/bin/
COPY lib/ /usr/local/lib/redis/
RUN mkdir /data && chown 999:999 /data
ENV LD_LIBRARY_PATH=/usr/local/lib/redis
WORKDIR /data
CMD ["redis-server"]
"""


def make_base(engine: Engine, folder: Path) -> str:
    """A base of Debian's own Python by debootstrap; its name. Raises ImagesError."""
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise ImagesError("the stand-in base needs debootstrap and root; or name a base that is there: --base IMAGE")
    root = folder / "base"
    root.mkdir()
    # In memory, where installing packages does not wait for the disk after each file.
    mounted = subprocess.run(("mount", "-t", "tmpfs", "-o", "size=1g", "none", str(root)), check=False).returncode == 0
    try:
        _install(root)
        archive = folder / "base.tar"
        run(("tar", "--numeric-owner", "--directory", str(root), "--create", "--file", str(archive), "."), seconds=60)
    finally:
        if mounted:
            run(("umount", "--lazy", str(root)), seconds=60)
        shutil.rmtree(root)
    engine.call("import", str(archive), local_tag(BASE_TAG), seconds=IMPORT_SECONDS)
    archive.unlink()
    return local_tag(BASE_TAG)


def _install(root: Path) -> None:
    packages = "--include=python3,ca-certificates,tzdata"
    run(("debootstrap", "--variant=minbase", packages, "bookworm", str(root), MIRROR), seconds=DEBOOTSTRAP_SECONDS)
    for cached in (root / "var/cache/apt/archives").glob("*.deb"):
        cached.unlink()


def make_redis(engine: Engine, folder: Path, base: str) -> str:
    """A Redis of this machine's redis-server on the base; its name. Raises ImagesError."""
    context = folder / "redis"
    for name in ("bin", "lib"):
        (context / name).mkdir(parents=True)
    for name in ("redis-server", "redis-cli"):
        program = shutil.which(name)
        if program is None:
            raise ImagesError(f"the stand-in Redis needs {name}: install redis-server, or name an image: --redis IMAGE")
        shutil.copy(Path(program).resolve(), context / "bin" / name)
        for library in _libraries(program):
            shutil.copy(library, context / "lib" / library.name)
    (context / "Dockerfile").write_text(REDIS_DOCKERFILE.format(base=base), encoding="utf-8")
    return build(engine, REDIS_TAG, str(context))


def target_of(engine: Engine, base: str) -> Target:
    """The Python and the machine of a base."""
    ask = "import platform; print(platform.python_version(), platform.machine())"
    python, machine = engine.call("run", "--rm", "--network", "none", base, "python3", "-c", ask).split()
    return Target(python, machine)


def _libraries(program: str) -> list[Path]:
    """The shared libraries of a program that the base may lack."""
    listed = subprocess.run((tool("ldd"), program), capture_output=True, text=True, check=True).stdout
    found = [Path(path) for path in re.findall(r"=> (/\S+)", listed)]
    return [path for path in found if not OF_THE_BASE.match(path.name)]
