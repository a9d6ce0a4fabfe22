"""Requests that RabbitMQ does not take: it said so on a good connection, which is used again."""

import pytest
from kombu import Connection
from kombu.messaging import Producer

from unstract_worker_core.config import BrokerSettings, Secret
from unstract_worker_core.ledger import AnswerTicket
from unstract_worker_file_processing.executor import NotNow
from unstract_worker_file_processing.platform import publisher as module
from unstract_worker_file_processing.platform.publisher import EXECUTOR_QUEUE, RequestPublisher

pytestmark = pytest.mark.timeout(400)  # the first test of a broker starts a whole fleet
TICKET = AnswerTicket("run", 1, 0, 3)


@pytest.fixture
def connections(monkeypatch):
    """Those that were made."""
    made, make = [], module.publishing_connection
    monkeypatch.setattr(module, "publishing_connection", lambda *a, **k: made.append(make(*a, **k)) or made[-1])
    return made


@pytest.fixture
def publisher(broker, connections):
    made = RequestPublisher(BrokerSettings(Secret(broker)), 100, 3600)
    yield made
    made.close()


@pytest.fixture
def channel(broker):
    with Connection(broker) as connection, connection.channel() as channel:
        yield channel


def test_a_connection_outlives_requests_that_a_full_queue_refuses(publisher, connections, channel):
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    channel.queue_declare(EXECUTOR_QUEUE, durable=True, auto_delete=False, arguments=arguments)
    publisher.publish({}, TICKET)
    for _ in range(3):
        with pytest.raises(NotNow, match="does not take the request"):
            publisher.publish({}, TICKET)
    channel.queue_purge(EXECUTOR_QUEUE)

    publisher.publish({}, TICKET)

    assert channel.queue_declare(EXECUTOR_QUEUE, passive=True).message_count == 1
    assert len(connections) == 1


def test_a_connection_outlives_requests_whose_queue_is_not_there(publisher, connections, channel, monkeypatch):
    with pytest.raises(NotNow, match="has no queue"):
        publisher.publish({}, TICKET)
    channel.queue_declare(EXECUTOR_QUEUE, durable=True, auto_delete=False)
    publish = Producer.publish

    def without_queue(self, *args, **options):
        channel.queue_delete(EXECUTOR_QUEUE)
        return publish(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Producer, "publish", without_queue)
        with pytest.raises(NotNow, match="has no queue"):
            publisher.publish({}, TICKET)
    channel.queue_declare(EXECUTOR_QUEUE, durable=True, auto_delete=False)

    publisher.publish({}, TICKET)

    assert channel.queue_declare(EXECUTOR_QUEUE, passive=True).message_count == 1
    assert len(connections) == 1
