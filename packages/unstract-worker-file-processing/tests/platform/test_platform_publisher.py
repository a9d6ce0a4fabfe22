"""Requests on a Redis broker: what is sent, and that it is known whether it was."""

import base64
import json
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from unstract_devstack.ports import free_port
from unstract_worker_core.config import BrokerSettings, Secret
from unstract_worker_core.ledger import AnswerTicket
from unstract_worker_file_processing.executor import MaybeSent, NotNow
from unstract_worker_file_processing.platform.publisher import EXECUTOR_QUEUE, RequestPublisher

TICKET = AnswerTicket("run", 1, 0, 3)


def publisher(url, limit=100):
    return RequestPublisher(BrokerSettings(Secret(url)), limit, 3600)


@pytest.fixture
def broker_url(redis_server):
    """A database of its own: the executor of other tests takes its requests from the first."""
    return redis_server.url.removesuffix("/0") + "/5"


@pytest.fixture
def redis(redis, broker_url):
    with Redis.from_url(broker_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def publishing(broker_url, redis):
    made = publisher(broker_url)
    yield made
    made.close()


def test_a_request_is_a_celery_task_whose_answer_comes_with_the_ticket(publishing, redis):
    publishing.publish({"run_id": "row"}, TICKET)

    (raw,) = redis.lrange(EXECUTOR_QUEUE, 0, -1)
    message = json.loads(raw)
    assert message["headers"]["task"] == "execute_extraction"
    expires = datetime.fromisoformat(message["headers"]["expires"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < expires <= timedelta(minutes=60)

    args, kwargs, embedded = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs) == ([{"run_id": "row"}], {})
    (link,), (failure,) = embedded["callbacks"], embedded["errbacks"]
    assert (link["task"], link["args"]) == (
        "unstract_worker.executor_answer",
        [{"run_id": "run", "epoch": 1, "batch": 0, "number": 3}],
    )
    assert (failure["task"], failure["args"]) == (
        "unstract_worker.executor_failure",
        [{"run_id": "run", "epoch": 1, "batch": 0, "number": 3}],
    )
    assert link["options"] == failure["options"] == {"queue": "uw_executor_answers"}


def test_a_full_queue_puts_the_file_off(broker_url, redis):
    made = publisher(broker_url, limit=2)
    for _ in range(2):
        made.publish({}, TICKET)

    connections = redis.info("stats")["total_connections_received"]
    for _ in range(3):
        with pytest.raises(NotNow, match="WORKER_EXECUTOR_QUEUE_LIMIT") as caught:
            made.publish({}, TICKET)

    assert caught.value.delay_seconds > 0
    assert redis.llen(EXECUTOR_QUEUE) == 2
    assert redis.info("stats")["total_connections_received"] == connections
    made.close()


def test_a_broker_that_is_away_was_sent_nothing():
    with pytest.raises(NotNow, match="cannot be reached"):
        publisher(f"redis://127.0.0.1:{free_port()}/0").publish({}, TICKET)


def test_a_broker_that_refuses_writes_was_sent_nothing(publishing, redis):
    publishing.publish({}, TICKET)
    redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(NotNow, match="refuses"):
            publishing.publish({}, TICKET)
    finally:
        redis.config_set("maxmemory", "0")
    assert redis.llen(EXECUTOR_QUEUE) == 1


def test_a_connection_that_was_cut_while_it_was_idle_is_replaced(publishing, redis):
    publishing.publish({}, TICKET)
    redis.client_kill_filter(_type="normal", skipme=True)

    publishing.publish({}, TICKET)

    assert redis.llen(EXECUTOR_QUEUE) == 2


def test_a_push_without_an_answer_may_have_been_sent_and_is_sent_once(redis_server, redis):
    with Cutting(redis_server.port) as cutting, pytest.raises(MaybeSent):
        publisher(f"redis://127.0.0.1:{cutting.port}/5").publish({}, TICKET)

    assert redis.llen(EXECUTOR_QUEUE) == 1


class Cutting:
    """Passes all on, but cuts a connection instead of the answer to a push."""

    def __init__(self, target):
        self.target, self.listener = target, socket.create_server(("127.0.0.1", 0))
        self.port, self.open = self.listener.getsockname()[1], [self.listener]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for each in self.open:
            each.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server, pushed = socket.create_connection(("127.0.0.1", self.target)), threading.Event()
            self.open += [client, server]
            threading.Thread(target=self._up, args=(client, server, pushed), daemon=True).start()
            threading.Thread(target=self._down, args=(client, server, pushed), daemon=True).start()

    def _up(self, client, server, pushed):
        try:
            while data := client.recv(65536):
                if b"LPUSH" in data:
                    pushed.set()
                server.sendall(data)
        except OSError:
            return

    def _down(self, client, server, pushed):
        try:
            while data := server.recv(65536):
                if pushed.is_set():
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
        except OSError:
            return
