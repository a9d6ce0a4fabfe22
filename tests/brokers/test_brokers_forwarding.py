"""Handing messages on over a real RabbitMQ: the broker's word counts, and without it a message stays where it is."""

import pytest
from kombu import Connection

from unstract_devstack.processes import wait_until
from unstract_devstack.rabbitmq_server import running_rabbitmq
from unstract_worker_core.config import BrokerSettings, Secret
from unstract_worker_core.migration.traffic import Forwarding, NotForwarded
from unstract_worker_core.worker.broker import declared_queue

pytestmark = pytest.mark.timeout(240)

FROM, TO = "celery_api_deployments", "celery_api_deployments_today"


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory):
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as handle:
        yield handle


@pytest.fixture(params=[False, True], ids=["classic", "quorum"])
def broker(rabbit, request):
    """The broker as a worker knows it; no queue of an earlier test is there."""
    with Connection(rabbit.url) as connection:
        for name in (FROM, TO):
            connection.default_channel.queue_delete(name)
    return BrokerSettings(Secret(rabbit.url), ha_queues=request.param)


@pytest.fixture
def forwarding(broker):
    made = Forwarding(broker)
    yield made
    made.close()


@pytest.fixture
def message(rabbit, broker):
    """One that was sent to a worker and not acknowledged yet."""
    with Connection(rabbit.url, transport_options={"confirm_publish": True}) as connection:
        queue = declared_queue(FROM, broker)(connection.default_channel)
        queue.declare()
        connection.Producer().publish(
            b"[[1], {}, {}]", exchange="", routing_key=FROM, content_type="application/json",
            content_encoding="utf-8", headers={"task": "t", "id": "i", "eta": None}, correlation_id="i", reply_to="r",
            delivery_mode=2, priority=3,
        )  # fmt: skip
        yield taken(queue)


def taken(queue):
    """The next message of a queue; a quorum queue gives it a moment after it has confirmed it."""
    found = []
    assert wait_until(lambda: bool(found) or ((got := queue.get()) is not None and not found.append(got)), seconds=20)
    return found[0]


def waiting(url: str, queue: str) -> int:
    """How many messages wait."""
    with Connection(url) as connection:
        return connection.default_channel.queue_declare(queue, passive=True).message_count


def test_a_message_arrives_as_it_was(rabbit, broker, forwarding, message):
    forwarding.forward(message, TO)
    with Connection(rabbit.url) as connection:
        came = taken(declared_queue(TO, broker)(connection.default_channel))
    assert came.body == message.body
    assert came.headers == message.headers
    for name in ("content_type", "content_encoding", "correlation_id", "reply_to", "delivery_mode", "priority"):
        assert came.properties[name] == message.properties[name]


def refused(forwarding, message) -> str:
    """Why the broker did not take the message; nothing if it did."""
    try:
        forwarding.forward(message, TO)
    except NotForwarded as error:
        return str(error)
    return ""


def test_a_refusal_is_noticed(rabbit, forwarding, message):
    """A queue that is full by policy: RabbitMQ answers with a nack."""
    rabbit.control("set_policy", "full", f"^{TO}$", '{"max-length": 0, "overflow": "reject-publish"}')
    try:
        assert wait_until(lambda: refused(forwarding, message) == "MessageNacked", seconds=20)  # quorum: not the first
    finally:
        rabbit.control("clear_policy", "full")
    forwarding.forward(message, TO)


def test_a_queue_that_is_gone_is_made_again(rabbit, forwarding, message):
    forwarding.forward(message, TO)
    with Connection(rabbit.url) as connection:
        connection.default_channel.queue_delete(TO)
    forwarding.forward(message, TO)
    assert wait_until(lambda: waiting(rabbit.url, TO) == 1, seconds=20)


def test_a_queue_of_another_kind_is_used_as_it_is(rabbit, broker, forwarding, message):
    other = BrokerSettings(broker.url, ha_queues=not broker.ha_queues)
    with Connection(rabbit.url) as connection:
        declared_queue(TO, other)(connection.default_channel).declare()
    forwarding.forward(message, TO)
    assert wait_until(lambda: waiting(rabbit.url, TO) == 1, seconds=20)


def test_a_connection_that_was_cut_is_made_again(rabbit, forwarding, message):
    forwarding.forward(message, TO)
    rabbit.control("close_all_connections", "a test")
    forwarding.forward(message, TO)
    assert wait_until(lambda: waiting(rabbit.url, TO) == 2, seconds=20)


def test_a_broker_that_is_away_is_noticed(broker, message):
    away = Forwarding(BrokerSettings(Secret("amqp://guest:guest@127.0.0.1:1//")))
    with pytest.raises(NotForwarded):
        away.forward(message, TO)
