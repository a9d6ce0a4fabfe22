"""What libraries import and a worker does not use is not loaded, and whole once something uses it."""

import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from unstract_devstack.processes import wait_until
from unstract_worker_core.worker import deferring


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], object]:
    """Writes a package ``put_off`` with this body and a submodule, and imports it deferred."""

    def made(body: str) -> object:
        folder = tmp_path / "put_off"
        folder.mkdir()
        (folder / "__init__.py").write_text(body)
        (folder / "leaf.py").write_text("green = True\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(sys, "meta_path", sys.meta_path[:])
        for name in ("put_off", "put_off.leaf"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        deferring.defer(["put_off"])
        return import_module("put_off")

    yield made
    for name in ("put_off", "put_off.leaf"):
        sys.modules.pop(name, None)


def python(code: str) -> str:
    """What this code says in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True, timeout=60
    ).stdout


def test_a_running_worker_has_not_loaded_what_it_does_not_use(start_worker, send, redis):
    start_worker()
    send("tiny.modules")
    assert wait_until(lambda: redis.exists("modules"), seconds=30)
    # An interpreter that is watched by others, such as coverage, has some of them from the start.
    bare = python("import sys; print(*sys.modules)")
    loaded = set(redis.lrange("modules", 0, -1)) - set(bare.split())
    unused = {
        *deferring.UNUSED,
        "celery.fixups.django",
        "html.entities",
        "redis.asyncio.client",
        "redis.asyncio.cluster",
    }
    assert loaded & unused == set()
    assert {"redis.client", "celery.app.base"} <= loaded


def test_it_is_loaded_by_its_first_attribute_and_not_by_a_submodule(package):
    module = package("limit = 1\n")
    assert import_module("put_off.leaf").green
    assert "limit" not in vars(module)
    assert module.limit == 1
    assert "__getattr__" not in vars(module)
    assert sys.modules["put_off"] is module
    with pytest.raises(AttributeError, match="put_off"):
        module.nothing  # noqa: B018


def test_what_was_set_before_stays_and_a_modules_own_getattr_too(package):
    module = package("limit = 1\nother = 2\ndef __getattr__(name): return name.upper()\n")
    module.limit = 5
    assert (module.other, module.limit, module.anything) == (2, 5, "ANYTHING")


def test_a_failure_is_told_and_the_next_use_tries_again(package, tmp_path):
    module = package("from pathlib import Path\nlimit = int(Path(__file__).with_name('limit').read_text())\n")
    with pytest.raises(FileNotFoundError):
        module.limit  # noqa: B018
    (tmp_path / "put_off" / "limit").write_text("7")
    assert module.limit == 7


def test_a_second_thread_waits_until_the_module_is_whole(package, monkeypatch):
    entered, go, seen = threading.Event(), threading.Event(), []
    monkeypatch.setattr(sys, "entered_and_go", (entered, go), raising=False)
    module = package("import sys\nentered, go = sys.entered_and_go\nentered.set()\nassert go.wait(30)\nlimit = 1\n")
    threads = [threading.Thread(target=lambda: seen.append(module.limit)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert entered.wait(30)
    go.set()
    for thread in threads:
        thread.join(30)
    assert seen == [1, 1]


def test_asked_by_itself_it_says_what_it_has_not_yet(package):
    module = package(
        "import put_off\ntry:\n    put_off.limit\nexcept AttributeError as error:\n    told = str(error)\n"
    )
    assert module.told == "module 'put_off' is being loaded and has no 'limit' yet"


def test_libraries_that_were_put_off_work_once_they_are_used(redis_server):
    code = f"""
import sys
from unstract_worker_core.worker.deferring import defer
before = set(sys.modules)  # coverage, where it watches, has some of them
defer()
import asyncio, html, locale, mimetypes
import redis
from billiard import pool
pool.Lock = "as Celery sets it"
assert not ({{"html.entities", "redis.asyncio.client"}} & (set(sys.modules) - before))

async def ping():
    client = redis.asyncio.Redis.from_url({redis_server.url!r})
    print(await client.ping())
    await client.aclose()

asyncio.run(ping())
print(html.escape("<"), mimetypes.guess_type("a.pdf")[0], locale.normalize("de"), pool.Pool.__name__, pool.Lock)
"""
    assert python(code).splitlines() == ["True", "&lt; application/pdf de_DE.ISO8859-1 Pool as Celery sets it"]
