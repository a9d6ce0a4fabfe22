"""Each use of Redis survives each fault of its server, with real servers: one call goes wrong at most for a moment.

A call here is what a worker makes: with the repetition that it has. It must succeed although every pooled connection
leads to a server that was demoted, moved, restarted, is loading, closed what was idle, or fell silent.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from attrs import frozen
from kombu.connection import Connection
from redis import Redis
from redis.exceptions import RedisError

from unstract_devstack.faults.relay import Relay, running_relay
from unstract_devstack.processes import wait_until
from unstract_devstack.redis_server import RedisHandle, running_redis
from unstract_devstack.sentinel import MASTER, Sentinels, running_sentinels
from unstract_worker_core import redis as core_redis
from unstract_worker_core.api_results import ApiResultItem, ApiResults
from unstract_worker_core.config import BrokerSettings, RedisSettings, Secret
from unstract_worker_core.ledger import DeadLetter, Ledger, RunState, RunTask
from unstract_worker_core.ledger.operator import Operator
from unstract_worker_core.ledger.store import take_census, take_role
from unstract_worker_core.redis import connect
from unstract_worker_core.runs.files_in_use import ActiveFile, ActiveFiles, mark_key
from unstract_worker_core.statuses import RunKind
from unstract_worker_core.ui_logs import LogEvent, LogEvents
from unstract_worker_core.worker.broker import publishing_connection

CONNECTIONS = 6
FILE = ActiveFile("etag", "in/a.pdf")


@frozen
class Times:
    lease_seconds: float = 60.0
    first_ring_wait: float = 30.0
    max_ring_wait: float = 600.0
    dead_letter_limit: int = 5


def ledger_step(client: Redis) -> bool:
    return (
        Ledger(client, Times())
        .runs.accept("run", task=RunTask.EXECUTION, kind=RunKind.ETL, organization_id="org", start="{}")
        .state
        is RunState.ACCEPTED
    )


def ledger_reading(client: Redis) -> bool:
    return Ledger(client, Times()).runs.state("run") in (None, RunState.ACCEPTED)


def results_list(client: Redis) -> bool:
    return ApiResults(client, ttl_seconds=60).replace("w", "e", [item()]) == 1


def results_push(client: Redis) -> bool:
    ApiResults(client, ttl_seconds=60).push_once("w", "pushed", "1", [item()])
    return client.exists("api_results:w:pushed") == 1


def dead_letter(client: Redis) -> bool:
    letters = Ledger(client, Times()).dead_letters
    letters.add(DeadLetter("task", "queue", "why"))
    return letters.count() == 1


def marks(client: Redis) -> bool:
    files = ActiveFiles(client, "w", "e", 60)
    files.mark([FILE])
    files.release([mark_key("w", FILE)])
    return not files.marks_of_others([FILE])


def role(client: Redis) -> bool:
    return take_role(client, "x", "me", 60)


def gauges(client: Redis) -> bool:
    return take_census(client).dead_letters >= 0


def operators_command(client: Redis) -> bool:
    operator = Operator(client)
    operator.retry("run")
    return operator.page(limit=10).open >= 0


def log_events(client: Redis) -> bool:
    outcomes: list[str] = []
    events = LogEvents(lambda: Connection("memory://"), client, ttl_seconds=60, observe=outcomes.append)
    events.log(LogEvent("channel", "text", "execution", "org"))
    events.stop(timeout=20)
    return outcomes == ["sent"]


def item() -> ApiResultItem:
    return ApiResultItem(file="a.txt", file_execution_id="f", status="Success", result=None, error=None, metadata={})


USES = (
    ledger_step, ledger_reading, results_list, results_push, dead_letter, marks, role, gauges, operators_command,
    log_events,
)  # fmt: skip
each_use = pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
Use = Callable[[Redis], bool]


def warm(client: Redis) -> None:
    """Fill the pool: as many threads as that use their connections at the same time."""
    together = threading.Barrier(CONNECTIONS)

    def hold() -> None:
        with client.pipeline() as pipe:
            pipe.watch("any")
            together.wait(20)

    threads = [threading.Thread(target=hold) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)


def through(relay: Relay) -> Redis:
    return connect(RedisSettings(host="127.0.0.1", port=relay.port), name="tried")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisHandle, RedisHandle]]:
    folder = tmp_path_factory.mktemp("pair")
    with running_redis(folder / "old", appendonly=False) as old, running_redis(folder / "new", appendonly=False) as new:
        yield old, new


@each_use
def test_the_server_is_demoted_and_its_address_leads_elsewhere(pair: tuple[RedisHandle, RedisHandle], use: Use) -> None:
    old, new = pair
    with old.client() as first, new.client() as second, running_relay("moved", old.port) as relay:
        first.replicaof("NO", "ONE")
        first.flushall()
        client = through(relay)
        warm(client)
        first.replicaof("127.0.0.1", new.port)  # a managed fail-over: the old connections stay, and refuse writes
        relay.target = new.port
        assert use(client)
        second.flushall()


@each_use
def test_the_server_falls_silent(
    redis_server: RedisHandle, redis: Redis, use: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_redis, "_ANSWER_SECONDS", 0.5)
    with running_relay("silent", redis_server.port) as relay:
        client = through(relay)
        warm(client)
        relay.silence()
        relay.heal()  # what is connected stays silent for ever
        assert use(client)


def test_one_silence_is_enough_for_every_role(
    redis_server: RedisHandle, redis: Redis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(core_redis, "_ANSWER_SECONDS", 0.5)
    with running_relay("silent", redis_server.port) as relay:
        ledger, platform, cache = through(relay), through(relay), through(relay)
        for client in (ledger, platform, cache):
            warm(client)
        relay.silence()
        relay.heal()  # what is connected stays silent for ever
        assert ledger_step(ledger)
        assert "retry" in capsys.readouterr().out
        assert results_list(platform)
        assert marks(cache)
        assert "retry" not in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["role", "broker"])
def test_the_next_address_of_a_name_has_its_turn_soon(redis_server: RedisHandle, kind: str, monkeypatch) -> None:
    """The first one swallows packets. HTTP has a test of its own."""
    waited: list[float | None] = []
    connect_to = socket.socket.connect

    class Socket(socket.socket):
        def connect(self, address: Any) -> None:
            if address[0] == "192.0.2.1":
                waited.append(self.gettimeout())
                raise TimeoutError
            connect_to(self, address)

    def look_up(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in ("192.0.2.1", "127.0.0.1")]

    monkeypatch.setattr(socket, "socket", Socket)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    if kind == "role":
        assert connect(RedisSettings(host="redis.test", port=redis_server.port), name="ledger").ping()
    else:
        with publishing_connection(BrokerSettings(Secret(f"redis://redis.test:{redis_server.port}/0"))) as connection:
            connection.ensure_connection(max_retries=1)
            assert connection.default_channel.client.ping()
    assert waited
    assert all(seconds is not None and seconds <= 2 for seconds in waited)


@each_use
def test_every_connection_is_killed(redis_server: RedisHandle, redis: Redis, use: Use) -> None:
    client = connect(RedisSettings(host="127.0.0.1", port=redis_server.port), name="tried")
    warm(client)
    redis.client_kill_filter(skipme=True, _type="normal")
    assert use(client)


@each_use
def test_idle_connections_that_the_server_closes_are_replaced_in_silence(
    redis_server: RedisHandle, redis: Redis, use: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    client = connect(RedisSettings(host="127.0.0.1", port=redis_server.port), name="tried")
    warm(client)
    redis.config_set("timeout", 1)
    try:
        assert wait_until(lambda: not any("tried" in entry["name"] for entry in redis.client_list()), seconds=20)
    finally:
        redis.config_set("timeout", 0)
    assert use(client)
    assert "retry" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisHandle]:
    with running_redis(tmp_path_factory.mktemp("own"), options=("key-load-delay 400",)) as handle:
        with handle.client() as client, client.pipeline(transaction=False) as pipe:
            for number in range(2000):
                pipe.set(f"ballast:{number}", "x")
            pipe.execute()
        yield handle


@each_use
def test_the_server_is_killed_and_loads_its_data(own_server: RedisHandle, use: Use) -> None:
    client = connect(RedisSettings(host="127.0.0.1", port=own_server.port), name="tried")
    warm(client)
    own_server.kill()
    threading.Thread(target=own_server.start).start()  # it refuses with LOADING at first
    assert use(client)


@pytest.fixture(scope="module")
def sentinels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    with running_sentinels(tmp_path_factory.mktemp("sentinels")) as made:
        yield made


def is_replica(server: RedisHandle) -> bool:
    with suppress(RedisError), server.client() as client:  # a server that changes its role hangs up
        return bool(client.info("replication")["role"] == "slave")
    return False


@pytest.mark.timeout(240)
def test_sentinel_makes_another_server_the_master(sentinels: Sentinels) -> None:
    settings = RedisSettings(
        host=",".join(f"127.0.0.1:{port}" for port in sentinels.ports), sentinel=True, sentinel_master=MASTER
    )
    clients = {use: connect(settings, name="tried") for use in USES}
    for client in clients.values():
        warm(client)
    with Redis(port=sentinels.ports[0]) as sentinel:
        sentinel.execute_command("SENTINEL", "FAILOVER", MASTER)  # the old master lives on, as a replica
    assert wait_until(lambda: sentinels.master_port() == sentinels.second.port, seconds=60)
    assert wait_until(lambda: is_replica(sentinels.first), seconds=60)
    for use, client in clients.items():
        assert use(client), use.__name__
