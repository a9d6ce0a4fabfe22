"""`check` as a process of its own, against servers that are away, silent, or refuse."""

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import define, field

from unstract_devstack.ports import free_port
from unstract_devstack.processes import inherited_environment
from unstract_worker_core import redis as core_redis
from unstract_worker_core.operator.check import Line, cause_of
from unstract_worker_core.operator.check.brokers import broker_lines
from unstract_worker_core.operator.check.command import lines_of, result_backend_line
from unstract_worker_core.operator.check.redis_roles import redis_lines
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.testing import environment_for, settings_for
from unstract_worker_core.worker.definition import WorkerDefinition

from .conftest import SAMPLE

CANARY = "canary-5f2c"
TINY = WorkerDefinition(WorkerType.CALLBACK, "tiny", lambda app, runtime: None)


@define
class Unanswering:
    """A server that accepts connections and never says a word; `hang_up` closes those that it holds and will get."""

    listener: socket.socket
    accepted: threading.Semaphore = field(factory=lambda: threading.Semaphore(0))
    connections: list[socket.socket] = field(factory=list)
    hanging_up: bool = False

    @property
    def port(self) -> int:
        return self.listener.getsockname()[1]

    def serve(self) -> None:
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.connections.append(connection)
            if self.hanging_up:
                connection.close()
            self.accepted.release()

    def hang_up(self) -> None:
        self.hanging_up = True
        for connection in self.connections:
            connection.close()


@pytest.fixture
def unanswering() -> Iterator[Callable[[], Unanswering]]:
    made: list[Unanswering] = []

    def make() -> Unanswering:
        made.append(Unanswering(socket.create_server(("127.0.0.1", 0))))
        threading.Thread(target=made[-1].serve, daemon=True).start()
        return made[-1]

    yield make
    for server in made:
        server.listener.close()
        server.hang_up()


def check(**variables: str) -> dict[str, Line]:
    """The last line about each subject."""
    return {line.subject: line for line in lines_of(TINY, settings_for(WorkerType.CALLBACK, **variables))}


def start_check(*options: str, **variables: str) -> "subprocess.Popen[str]":
    environment = inherited_environment() | environment_for(PYTHONPATH=str(SAMPLE), **variables)
    command = (sys.executable, "-m", "tiny_worker", "check", *options)
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_each_line_is_printed_while_the_next_server_is_still_waited_for(unanswering) -> None:
    broker, other = unanswering(), unanswering()
    other.hang_up()
    variables = {
        "CELERY_BROKER_BASE_URL": f"redis://127.0.0.1:{broker.port}/0",
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(other.port),
        "INTERNAL_API_BASE_URL": f"http://127.0.0.1:{other.port}/internal",
    }
    with start_check(**variables) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ok    configuration\n"
        broker.hang_up()
        rest = process.stdout.read()
    # had the line come with the others at the end, the broker would have been given up before
    assert rest.startswith(f"fail  broker: redis://127.0.0.1:{broker.port}/0: the server closed the connection")
    assert process.returncode == 1


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_server_that_does_not_answer_is_asked_once_and_its_clock_is_skipped(unanswering, scheme) -> None:
    broker, ledger, platform, backend = (unanswering() for _ in range(4))
    for server in (broker, ledger, platform, backend):
        server.hang_up()
    found = check(
        CELERY_BROKER_BASE_URL=f"{scheme}://127.0.0.1:{broker.port}/0",
        WORKER_LEDGER_REDIS_URL=f"redis://127.0.0.1:{ledger.port}/0",
        REDIS_HOST="127.0.0.1",
        REDIS_PORT=str(platform.port),
        INTERNAL_API_BASE_URL=f"http://127.0.0.1:{backend.port}/internal",
    )
    subjects = ("broker", "ledger redis", "backend", "clock")
    assert [found[subject].status for subject in subjects] == ["fail", "fail", "fail", "skip"]
    assert [len(server.connections) for server in (broker, ledger, backend)] == [1, 1, 1]


@pytest.mark.parametrize("mode", [{}, {"REDIS_SENTINEL_MODE": "true"}])
def test_a_silent_server_of_all_roles_is_waited_for_once(unanswering, mode, monkeypatch) -> None:
    monkeypatch.setattr(core_redis, "_ANSWER_SECONDS", 0.3)
    server = unanswering()
    place = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(server.port), "REDIS_DB": "1", "CACHE_REDIS_DB": "2"} | mode
    lines = list(redis_lines(settings_for(WorkerType.CALLBACK, **place)))
    assert [(line.subject, line.status) for line in lines] == [
        ("ledger redis", "fail"), ("platform redis", "fail"), ("cache redis", "fail"),
    ]  # fmt: skip
    assert [line.detail.split(":")[1].split()[0] for line in lines] == [f"{server.port}/{db}" for db in (1, 1, 2)]
    assert len(server.connections) == 1


def test_what_run_could_not_use_fails(redis, redis_url) -> None:
    """A queue that may not be read as `run` reads it, and roles on a replica."""
    redis.acl_setuser("small", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all", "-blmove"])
    redis.replicaof("127.0.0.1", 1)
    try:
        broker = redis_url.replace("redis://", "redis://small:pw@")
        settings = settings_for(WorkerType.CALLBACK, redis_url=redis_url, CELERY_BROKER_BASE_URL=broker)
        found = {(line.subject, line.status, line.detail) for line in lines_of(TINY, settings)}
    finally:
        redis.replicaof("NO", "ONE")
        redis.acl_deluser("small")
    for subject in ("ledger redis", "platform redis", "cache redis", "broker"):
        assert (subject, "fail", "this is a replica: connect to the master") in found
    (queue,) = (each for each in found if each[0] == "queue uw_callback")
    assert "'blmove' command): grant what core's README lists" in queue[2]


def test_a_silent_sentinel_is_given_up_after_one_question(unanswering) -> None:
    sentinel = unanswering()
    sentinel.hang_up()
    settings = settings_for(WorkerType.CALLBACK, CELERY_BROKER_BASE_URL=f"sentinel://127.0.0.1:{sentinel.port}/0")
    assert next(broker_lines(settings)).status == "fail"
    assert len(sentinel.connections) == 1


def test_the_broker_of_a_list_that_failed_is_named_and_the_next_one_is_used(redis_url) -> None:
    first, second = free_port(), free_port()
    settings = settings_for(WorkerType.CALLBACK, CELERY_BROKER_BASE_URL=f"redis://127.0.0.1:{first}/0;{redis_url}")
    lines = list(broker_lines(settings))
    assert lines[0].status == "warn"
    assert lines[0].detail.startswith(f"redis://127.0.0.1:{first}/0: connection refused")
    assert lines[0].detail.endswith("the next one of the list is tried")
    assert lines[1] == Line("broker", "ok", redis_url)
    assert lines[-1] == Line("queue uw_callback", "ok", "0 waiting")

    both = f"amqp://127.0.0.1:{first}//;amqp://127.0.0.1:{second}//"
    lines = list(broker_lines(settings_for(WorkerType.CALLBACK, CELERY_BROKER_BASE_URL=both)))
    assert [line.status for line in lines[:3]] == ["warn", "fail", "skip"]
    for line, port in zip(lines, (first, second), strict=False):
        assert line.detail.startswith(f"amqp://127.0.0.1:{port}//: connection refused")


def test_user_and_password_are_looked_at_only_where_access_is_refused(redis_url) -> None:
    address = redis_url.rpartition("://")[2]
    refused, closed = f"redis://nobody:{CANARY}@{address}", f"redis://127.0.0.1:{free_port()}/0"
    line = next(
        broker_lines(settings_for(WorkerType.CALLBACK, CELERY_BROKER_BASE_URL=f"{refused};redis://u:p@127.0.0.1"))
    )
    # `run` ends at a refusal, whatever comes later in the list
    assert line.status == "fail"
    assert line.detail.endswith("user or password refused; look at CELERY_BROKER_BASE_URL, _USER and _PASS")
    assert CANARY not in str(line)
    line = next(broker_lines(settings_for(WorkerType.CALLBACK, CELERY_BROKER_BASE_URL=closed)))
    assert line.detail.endswith("nothing listens there; look at CELERY_BROKER_BASE_URL")


def test_an_unknown_zone_of_an_ipv6_address_is_named() -> None:
    found = check(
        CELERY_BROKER_BASE_URL="redis://[fe80::1%25nosuch0]:6379/0",
        WORKER_LEDGER_REDIS_URL="redis://[fe80::1%25nosuch1]:6379/0",
        INTERNAL_API_BASE_URL="http://[fe80::1%25nosuch2]:8000/internal",
        REDIS_HOST="127.0.0.1",
        REDIS_PORT=str(free_port()),
    )
    for number, subject in enumerate(("broker", "ledger redis", "backend")):
        assert f"this machine has no network interface nosuch{number}," in found[subject].detail


def test_the_result_backend_is_the_one_of_run_and_its_fault_is_one_line(redis_url) -> None:
    """Celery reads CELERY_RESULT_BACKEND by itself, without the driver that the extra [chord] installs."""
    port = free_port()
    variables = {"CHORD_COMPAT": "true", "CELERY_RESULT_BACKEND": f"db+postgresql://u:{CANARY}@127.0.0.1:{port}/n"}
    nowhere = f"http://127.0.0.1:{free_port()}/internal"
    with start_check(CELERY_BROKER_BASE_URL=redis_url, INTERNAL_API_BASE_URL=nowhere, **variables) as process:
        out, err = process.communicate()
    assert (
        f"\nfail  result backend: 127.0.0.1:{port}/n: connection refused: nothing listens there; "
        "look at CELERY_RESULT_BACKEND or CELERY_BACKEND_DB_*\n"
    ) in out
    assert (process.returncode, err) == (1, "")
    assert CANARY not in out


def test_the_parts_of_a_result_database_are_tried_once_without_a_traceback(
    unanswering, caplog: pytest.LogCaptureFixture
) -> None:
    database = unanswering()
    database.hang_up()
    settings = settings_for(
        WorkerType.CALLBACK,
        CHORD_COMPAT="true", CELERY_BACKEND_DB_HOST="127.0.0.1", CELERY_BACKEND_DB_PORT=str(database.port),
        CELERY_BACKEND_DB_NAME="n", CELERY_BACKEND_DB_USER="u", CELERY_BACKEND_DB_PASSWORD=CANARY,
    )  # fmt: skip
    line = result_backend_line(TINY, settings)
    assert line.status == "fail"
    assert line.detail.startswith(f"127.0.0.1:{database.port}/n: the server there is not PostgreSQL; look at")
    assert (caplog.text, len(database.connections)) == ("", 1)


def test_result_backends_that_answer_are_fine_and_keep_nothing(redis, redis_url, tmp_path: Path) -> None:
    for url in (redis_url, f"db+sqlite:///{tmp_path}/results"):
        line = result_backend_line(
            TINY, settings_for(WorkerType.CALLBACK, CHORD_COMPAT="true", CELERY_RESULT_BACKEND=url)
        )
        assert line.status == "ok", line
    assert redis.keys("celery-task-meta-*") == []


def test_an_unknown_cause_says_more_than_the_name_of_a_class() -> None:
    unknown = RuntimeError(f"cannot use redis://u:{CANARY}@h/0: it is blue\nmore")
    wrapped = OSError()
    wrapped.__cause__ = unknown
    assert cause_of(wrapped) == "cannot use redis://***@h/0: it is blue (OSError)"
    assert cause_of(KeyError()) == "no reason was given (KeyError)"
