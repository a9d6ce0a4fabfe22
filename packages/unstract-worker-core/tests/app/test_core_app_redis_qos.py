"""A Redis that takes no writes cannot make the transport lose a message that it popped (kombu's own drops it)."""

import contextlib

import pytest
from kombu import Connection, Consumer, Exchange, Queue

from unstract_devstack.redis_server import running_redis

TRANSPORT = "unstract_worker_core.app.redis_transport:TolerantTransport"
QUEUE = Queue("some", Exchange("some"), routing_key="some")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_redis(tmp_path_factory.mktemp("redis")) as handle:
        yield handle


@pytest.fixture
def redis(server):
    with server.client() as client:
        client.flushall()
        yield client
        client.config_set("maxmemory", "0")


@pytest.fixture
def connection(server, redis):
    with Connection(server.url, transport=TRANSPORT) as connection:
        connection.Producer().publish({"a": 1}, exchange="", routing_key="some")
        yield connection


@contextlib.contextmanager
def taken(connection, redis):
    """The message, popped while Redis refuses writes."""
    messages = []
    with Consumer(connection, [QUEUE], callbacks=[lambda body, message: messages.append(message)]):
        redis.config_set("maxmemory", "1")
        while not messages:
            connection.drain_events(timeout=10)
        assert (redis.llen("some"), redis.hlen("unacked")) == (0, 0)
        (message,) = messages
        yield message


def test_a_message_that_could_not_be_noted_is_delivered(connection, redis):
    with taken(connection, redis) as message:
        redis.config_set("maxmemory", "0")
        message.ack()
    assert (redis.llen("some"), redis.hlen("unacked")) == (0, 0)


def test_it_can_be_given_back_once_there_is_room(connection, redis):
    with taken(connection, redis) as message:
        redis.config_set("maxmemory", "0")
        message.requeue()
        assert redis.llen("some") == 1


def test_it_is_given_back_when_the_consumer_ends(connection, redis):
    with taken(connection, redis) as message:
        redis.config_set("maxmemory", "0")
        message.channel.close()
    assert redis.llen("some") == 1


def test_giving_back_without_room_is_told_without_the_message(connection, redis, capfd):
    with taken(connection, redis) as message:
        message.requeue()
    said = "".join(capfd.readouterr())
    assert "could not be given back" in said
    assert '"a"' not in said


def test_an_acknowledgement_that_is_refused_leaves_the_note(connection, redis):
    messages = []
    with Consumer(connection, [QUEUE], callbacks=[lambda body, message: messages.append(message)]):
        while not messages:
            connection.drain_events(timeout=10)
        redis.config_set("maxmemory", "1")
        messages[0].ack()
    redis.config_set("maxmemory", "0")
    assert redis.hlen("unacked") == 1
