"""Connections to a real Redis: no silent retries, Sentinel, and what the ledger demands of its server."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

from unstract_devstack.ports import free_port
from unstract_worker_core.config import RedisSettings, Secret
from unstract_worker_core.errors import LedgerUnavailable
from unstract_worker_core.redis import Finding, check_ledger_redis, connect

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
pytestmark = pytest.mark.skipif(SERVER is None, reason="needs redis-server or valkey-server on PATH")


@contextmanager
def running(directory: Path, *options: str) -> Iterator[RedisSettings]:
    port = free_port()
    command = [str(SERVER), *options, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            with suppress(redis.ConnectionError), redis.Redis(port=port, retry=None) as probe:
                probe.ping()
                break
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < deadline
        yield RedisSettings(host="127.0.0.1", port=port)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisSettings]:
    with running(tmp_path_factory.mktemp("redis"), "--appendonly", "yes", "--save", "") as settings:
        yield settings


def test_answers_are_text_in_the_right_database_under_a_name(server: RedisSettings) -> None:
    client = connect(RedisSettings(host=server.host, port=server.port, db=3), name="ledger")
    client.set("key", "välue")
    assert client.get("key") == "välue"
    assert connect(server, name="platform").get("key") is None
    assert "unstract-worker-ledger" in {entry["name"] for entry in client.client_list()}


@contextmanager
def relay(server: RedisSettings, cut_after: bytes) -> Iterator[RedisSettings]:
    """Passes everything on, but cuts the connection instead of handing back the answer to one command."""

    def serve(peer: socket.socket) -> None:
        with peer, socket.create_connection((server.host, server.port), timeout=10) as onward:
            while asked := peer.recv(65536):
                onward.sendall(asked)
                reported = onward.recv(65536)
                if cut_after in asked:
                    return
                peer.sendall(reported)

    def accept() -> None:
        with suppress(OSError):  # closed: the test is over
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        threading.Thread(target=accept, daemon=True).start()
        yield RedisSettings(host="127.0.0.1", port=listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def test_a_command_whose_answer_is_lost_is_not_sent_again(server: RedisSettings) -> None:
    with relay(server, cut_after=b"DECR") as relayed:
        client = connect(relayed, name="x")
        assert client.ping()
        with pytest.raises(redis.ConnectionError):
            client.decr("counter")
    assert connect(server, name="y").get("counter") == "-1"


def test_idle_connections_that_the_server_closed_are_replaced(server: RedisSettings) -> None:
    client, other = connect(server, name="victim"), connect(server, name="killer")
    assert client.ping()
    for entry in other.client_list():
        if entry["name"] == "unstract-worker-victim":
            other.client_kill_filter(_id=entry["id"])
    assert client.ping()


def test_a_good_server_has_no_findings(server: RedisSettings) -> None:
    assert check_ledger_redis(connect(server, name="ledger")) == ()


def test_what_speaks_against_a_server(server: RedisSettings) -> None:
    client = connect(server, name="ledger")
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("appendonly", "no")
    try:
        eviction, aof = check_ledger_redis(client)
    finally:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "yes")
    assert eviction.fatal
    assert eviction.problem == "eviction policy is allkeys-lru: set maxmemory-policy noeviction"
    assert not aof.fatal
    assert "AOF is off" in aof.problem


def test_a_replica_and_a_cluster_are_refused(server: RedisSettings, tmp_path: Path) -> None:
    of = ("--replicaof", server.host, str(server.port))
    with running(tmp_path, "--appendonly", "yes", *of) as replica:
        (finding,) = check_ledger_redis(connect(replica, name="ledger"))
        assert finding.fatal
        assert "replica" in finding.problem
    (tmp_path / "cluster").mkdir()
    with running(
        tmp_path / "cluster", "--appendonly", "yes", "--cluster-enabled", "yes", "--cluster-port", str(free_port())
    ) as cluster:
        (finding,) = check_ledger_redis(connect(cluster, name="ledger"))
        assert finding.fatal
        assert "Cluster" in finding.problem


def test_a_user_who_may_not_ask_is_refused_with_what_to_grant(server: RedisSettings) -> None:
    admin = connect(server, name="admin")
    admin.acl_setuser("small", enabled=True, passwords=["+pw-of-small"], keys=["uw:*"], commands=["+@all", "-info"])
    small = RedisSettings(host=server.host, port=server.port, username="small", password=Secret("pw-of-small"))
    try:
        client = connect(small, name="ledger")
        (finding,) = check_ledger_redis(client)
        assert client.set("uw:x", "1")
    finally:
        admin.acl_deluser("small")
    assert finding.fatal
    assert "grant +info" in finding.problem


@pytest.mark.parametrize("refused", ["-evalsha", "-scard"])
def test_a_user_who_may_not_run_the_ledgers_scripts_is_refused(server: RedisSettings, refused: str) -> None:
    admin = connect(server, name="admin")
    admin.acl_setuser("small", enabled=True, passwords=["+pw-of-small"], keys=["uw:*"], commands=["+@all", refused])
    small = RedisSettings(host=server.host, port=server.port, username="small", password=Secret("pw-of-small"))
    try:
        (finding,) = check_ledger_redis(connect(small, name="ledger"))
    finally:
        admin.acl_deluser("small")
    assert finding.fatal
    assert "least access, in core's README" in finding.problem


def test_a_database_that_is_not_there_is_refused(server: RedisSettings) -> None:
    (finding,) = check_ledger_redis(connect(RedisSettings(host=server.host, port=server.port, db=99), name="ledger"))
    assert finding == Finding("it refuses to serve (DB index is out of range)", fatal=True)


def test_a_server_that_is_away_is_no_verdict() -> None:
    client = connect(RedisSettings(host="127.0.0.1", port=free_port(), password=Secret("pw")), name="ledger")
    with pytest.raises(LedgerUnavailable, match="does not answer"):
        check_ledger_redis(client)


def test_sentinel_leads_to_the_master(server: RedisSettings, tmp_path: Path) -> None:
    (tmp_path / "sentinel.conf").write_text(f"sentinel monitor main {server.host} {server.port} 1\n")
    with running(tmp_path, str(tmp_path / "sentinel.conf"), "--sentinel") as guard:
        settings = RedisSettings(
            host=f"127.0.0.1:{guard.port}",
            sentinel=True,
            sentinel_master="main",
            db=4,
            sentinel_password=None,
        )
        client = connect(settings, name="ledger")
        client.set("by", "sentinel")
        assert connect(RedisSettings(host=server.host, port=server.port, db=4), name="x").get("by") == "sentinel"
        assert check_ledger_redis(client) == ()


def test_tls_is_spoken_where_it_is_asked_for() -> None:
    first = []

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            first.append(peer.recv(1))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        client = connect(RedisSettings(host="127.0.0.1", port=listener.getsockname()[1], ssl=True), name="x")
        with pytest.raises(redis.ConnectionError):
            client.ping()
        thread.join()
    assert first == [b"\x16"]
