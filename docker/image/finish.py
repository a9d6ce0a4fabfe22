"""What a base still needs once the worker is in it: no installer, and byte code of the standard library.

Official Python images carry pip and no .pyc of the standard library; with a read-only root every start would compile
it again. Compiled is only what the worker loads. Run by the build, as root, inside the image.
"""

import contextlib
import importlib
import pkgutil
import py_compile
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path

INSTALLERS = ("pip", "pip-*", "setuptools", "setuptools-*", "pkg_resources", "_distutils_hack", "wheel", "wheel-*")
PROGRAMS = ("pip*", "wheel", "easy_install*")


def installers(prefix: Path) -> Iterator[Path]:
    """What installs packages in the base itself."""
    library = Path(sysconfig.get_path("stdlib", vars={"base": str(prefix), "installed_base": str(prefix)}))
    yield library / "ensurepip"
    for folder in (library / "site-packages", library / "dist-packages"):
        yield from (found for name in INSTALLERS for found in folder.glob(name))
    yield from (found for name in PROGRAMS for found in (prefix / "bin").glob(name))


def remove(path: Path) -> None:
    """A file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def load(package: str) -> None:
    """Everything that the worker loads."""
    importlib.import_module(f"{package}.__main__")
    core = importlib.import_module("unstract_worker_core")
    for module in pkgutil.walk_packages(core.__path__, "unstract_worker_core."):
        with contextlib.suppress(ImportError):  # what an extra brings that this image does not have
            importlib.import_module(module.name)
    importlib.import_module("celery.apps.worker")
    importlib.import_module("celery.concurrency.thread")


def compile_loaded() -> int:
    """Byte code for each loaded module that has none; how many that were."""
    count = 0
    for module in list(sys.modules.values()):
        source = getattr(module, "__file__", None)
        if source and source.endswith(".py") and not Path(cache_from_source(source)).exists():
            py_compile.compile(source, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
            count += 1
    return count


def main() -> None:
    """Run inside the image."""
    sys.dont_write_bytecode = True
    load(f"unstract_worker_{sys.argv[1].replace('-', '_')}")
    count = compile_loaded()
    for path in installers(Path(sys.base_prefix)):
        remove(path)
    sys.stdout.write(f"compiled {count} modules of the base\n")


if __name__ == "__main__":
    main()
