"""A message is in its queue or noted as taken, at every moment; an item that is no message stops no worker."""

import json
import random
import select
import subprocess
import sys
import time

import pytest
from kombu import Connection, Consumer, Exchange, Queue
from kombu.asynchronous import Hub

from unstract_devstack.faults.relay import running_relay
from unstract_devstack.ports import free_port
from unstract_devstack.processes import wait_until
from unstract_devstack.redis_server import running_redis
from unstract_worker_core.config import BrokerSettings, Secret
from unstract_worker_core.observability.metrics import Metrics
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.testing import settings_for
from unstract_worker_core.worker import broker_redis
from unstract_worker_core.worker.broker import publishing_connection, transport_class, transport_options
from unstract_worker_core.worker.celery_app import make_app
from unstract_worker_core.worker.definition import WorkerDefinition
from unstract_worker_core.worker.doorbell_publisher import CeleryDoorbells

DEFINITION = WorkerDefinition(WorkerType.CALLBACK, "tiny", lambda app, runtime: None)
NAMES = ("some", "other")
QUEUES = [Queue(name, Exchange(name), routing_key=name) for name in NAMES]
NOTES, INDEX = "uw_unacked", "uw_unacked_index"

CONSUMER = """
import sys
import redis
from kombu import Connection, Consumer, Exchange, Queue
url, transport = sys.argv[1:3]
done = redis.Redis.from_url(url)
def handle(body, message):
    done.sadd("done", body["content"])
    message.ack()
options = {"unacked_key": "uw_unacked", "unacked_index_key": "uw_unacked_index"}
with Connection(url, transport=transport, transport_options=options) as connection:
    with Consumer(connection, [Queue("some", Exchange("some"), routing_key="some")], callbacks=[handle]):
        print("ready", flush=True)
        while True:
            connection.drain_events()
"""


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
        client.config_set("min-replicas-to-write", "0")


@pytest.fixture
def broker(server):
    return BrokerSettings(url=Secret(server.url))


@pytest.fixture
def connect(broker, redis):
    """Makes connections, as a worker's consumer would; `options` over its own."""
    made = []

    def make(**options):
        url = broker.url.reveal()
        made.append(
            Connection(url, transport=transport_class(broker), transport_options=transport_options(broker) | options)
        )
        return made[-1]

    yield make
    for each in made:
        each.release()


@pytest.fixture
def connection(connect):
    return connect()


@pytest.fixture
def publish(connect):
    producer = connect().Producer()

    def send(content="x", queue="some", **options):
        producer.publish({"content": content}, exchange="", routing_key=queue, **options)

    return send


@pytest.fixture
def reasons():
    reported = []
    broker_redis.on_malformed(lambda queue, reason: reported.append((queue, reason)))
    yield reported
    broker_redis.on_malformed(lambda queue, reason: None)


class Consuming:
    """A consumer whose messages are kept."""

    def __init__(self, connection, prefetch=0):
        self.connection, self.messages = connection, []
        self.consumer = Consumer(connection, QUEUES, callbacks=[lambda body, message: self.messages.append(message)])
        if prefetch:
            self.consumer.qos(prefetch_count=prefetch)

    def __enter__(self):
        self.consumer.consume()
        return self

    def __exit__(self, *error):
        self.consumer.close()

    def until(self, done, seconds=10):
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, "it did not come to that"
            try:
                self.connection.drain_events(timeout=0.2)
            except (TimeoutError, *self.connection.connection_errors):
                continue

    def got(self, count=1):
        self.until(lambda: len(self.messages) >= count)
        return [message.payload["content"] for message in self.messages]


def where(redis):
    """How many messages are in the queues, and how many are noted."""
    return redis.llen("some") + redis.llen("other"), redis.hlen(NOTES)


def test_a_message_is_noted_once_it_is_taken_and_forgotten_once_it_is_acknowledged(connection, publish, redis):
    publish()
    with Consuming(connection) as consuming:
        assert consuming.got() == ["x"]
        assert where(redis) == (0, 1)
        assert redis.zcard(INDEX) == 1
        consuming.messages[0].ack()
    assert where(redis) == (0, 0)
    assert redis.zcard(INDEX) == 0


@pytest.mark.parametrize("route", [("fanned", ""), ("topics", "a.b"), ("", ["x"])])
def test_a_message_says_which_queue_it_came_from_whatever_its_route(connection, publish, redis, route):
    publish()
    item = json.loads(redis.rpop("some"))
    item["properties"]["delivery_info"] = dict(zip(("exchange", "routing_key"), route, strict=True))
    redis.lpush("some", json.dumps(item))
    with Consuming(connection) as consuming:
        assert consuming.got() == ["x"]
        assert consuming.messages[0].delivery_info == {"exchange": "", "routing_key": "some"}


def test_an_event_loop_drops_the_notes_of_acknowledged_messages_together(connection, publish, redis):
    hub = Hub()
    connection.register_with_event_loop(hub)
    turns = hub.create_loop()
    for number in range(3):
        publish(number)
    with Consuming(connection) as consuming:
        while len(consuming.messages) < 3:
            next(turns)
        redis.config_resetstat()
        for message in consuming.messages[:2]:
            message.ack()
        assert where(redis) == (0, 3)
        next(turns)
        assert where(redis) == (0, 1)
        assert redis.info("commandstats")["cmdstat_zrem"]["calls"] == 1
        consuming.messages[2].ack()
        consuming.messages[2].channel.close()  # no further turn
        assert where(redis) == (0, 0)
    hub.close()


def test_an_empty_queue_is_not_asked_again_after_its_last_message(connection, publish, redis):
    publish(1)
    publish(2)
    with Consuming(connection) as consuming:
        redis.config_resetstat()
        assert consuming.got(2) == [1, 2]
        assert redis.info("commandstats")["cmdstat_rpop"]["calls"] <= 2 * len(NAMES)


def test_looking_takes_nothing_and_keeps_the_order(connection, publish, redis):
    with Consuming(connection) as consuming:
        for number in range(5):
            publish(number)
        assert consuming.got(5) == [0, 1, 2, 3, 4]


def test_nothing_is_taken_without_credit(connection, publish, redis):
    for number in range(3):
        publish(number)
    with Consuming(connection, prefetch=2) as consuming:
        consuming.got(2)
        consuming.until(lambda: all(look.asked_at is None for look in connection.default_channel._peeks.values()))
        assert where(redis) == (1, 2)
        consuming.messages[0].ack()
        assert consuming.got(3) == [0, 1, 2]


def test_queues_take_turns(connection, publish):
    for number in range(3):
        publish(f"some {number}")
        publish(f"other {number}", queue="other")
    with Consuming(connection) as consuming:
        queues = [content.split()[0] for content in consuming.got(6)]
    assert queues in (["some", "other"] * 3, ["other", "some"] * 3)


def test_other_priorities_are_seen(connection, publish):
    with Consuming(connection) as consuming:
        publish(priority=9)
        assert consuming.got() == ["x"]


def test_all_who_wait_can_take(connect, publish, redis):
    with Consuming(connect()) as first, Consuming(connect()) as second:
        for each in (first, second):
            each.until(lambda each=each: len(each.connection.default_channel._peeks) == 2)
        publish()
        second.got()
        publish()
        first.got()


def test_what_a_closing_consumer_holds_goes_back_to_its_queue(connection, publish, redis):
    publish()
    with Consuming(connection) as consuming:
        consuming.got()
        consuming.messages[0].channel.close()
    assert where(redis) == (1, 0)
    assert json.loads(redis.lindex("some", 0))["headers"]["redelivered"] is True


def test_what_a_dead_worker_held_comes_again_and_what_a_living_one_holds_does_not(connect, publish, redis):
    publish("dead")
    publish("alive")
    living = connect(visibility_timeout=2)
    with Consuming(connect(), prefetch=1) as gone, Consuming(living, prefetch=2) as held:
        gone.got()
        held.got()
        redis.zadd(INDEX, dict.fromkeys(redis.zrange(INDEX, 0, -1), time.time() - 3), xx=True)
        # The holder's own look at it, and what anybody's look at it gives back.
        living.default_channel.qos.restore_visible(interval=1)
        assert held.got(2) == ["alive", "dead"]
        assert where(redis) == (0, 2)


def test_a_full_server_loses_nothing_and_goes_on(connection, publish, redis):
    publish()
    with Consuming(connection) as consuming:
        redis.config_set("maxmemory", "1")
        assert consuming.got() == ["x"]
        assert where(redis) == (0, 1)
        consuming.messages[0].ack()


def test_a_server_that_takes_no_writes_keeps_its_messages(connection, publish, redis):
    with Consuming(connection) as consuming:
        consuming.until(lambda: len(connection.default_channel._peeks) == 2)
        # Put there by the server itself: it takes no writes of its clients.
        publish()
        redis.config_set("min-replicas-to-write", "1")
        consuming.until(lambda: connection.default_channel._not_before)
        assert where(redis) == (1, 0)
        assert consuming.messages == []
        redis.config_set("min-replicas-to-write", "0")
        assert consuming.got() == ["x"]


@pytest.mark.parametrize("refused", ["-hset", "-zadd", "-evalsha", "-blmove"])
def test_a_message_that_cannot_be_noted_stays_and_its_consumer_is_told(connection, publish, redis, refused):
    publish()
    with Consuming(connection) as consuming:
        redis.acl_setuser("default", enabled=True, commands=["+@all", refused])
        try:
            with pytest.raises(connection.channel_errors, match=r"no permissions|The user executing"):
                consuming.until(lambda: False)
            assert redis.llen("some") == 1
            assert consuming.messages == []
        finally:
            redis.acl_setuser("default", enabled=True, commands=["+@all"])


@pytest.mark.parametrize("key", [NOTES, INDEX])
def test_a_message_that_nothing_can_be_noted_of_stays(connection, publish, redis, key):
    redis.set(key, "no hash and no sorted set")
    publish()
    with Consuming(connection) as consuming:
        consuming.until(lambda: connection.default_channel._not_before)
        assert redis.llen("some") == 1
        redis.delete(key)
        assert consuming.got() == ["x"]


def test_what_cannot_be_acknowledged_or_given_back_stays_noted(connection, publish, redis, capfd):
    publish("secret 1")
    publish("secret 2")
    with Consuming(connection) as consuming:
        consuming.got(2)
        redis.config_set("min-replicas-to-write", "1")
        consuming.messages[0].ack()
        consuming.messages[1].requeue()
        assert where(redis) == (0, 2)
    assert "secret" not in "".join(capfd.readouterr())


def test_a_broken_look_is_made_again(connection, publish, redis):
    with Consuming(connection) as consuming:
        consuming.until(lambda: len(redis.client_list(_type="normal")) > 3)
        redis.client_kill_filter(_type="normal", skipme=True)
        publish()
        assert consuming.got() == ["x"]


def test_idle_connections_that_the_server_closed_are_made_again(connection, publish, redis):
    with Consuming(connection) as consuming:
        publish("a")
        assert consuming.got() == ["a"]
        kill_idle(connection, redis)
        consuming.messages[0].ack()
        assert where(redis) == (0, 0)
        kill_idle(connection, redis)
        redis.script_flush()
        publish("b")
        assert consuming.got(2) == ["a", "b"]


def kill_idle(connection, redis):
    """The server closes what the channel keeps in its pool; not the connections that wait for messages."""
    pool = connection.default_channel.pool
    for each in [pool.get_connection() for _ in pool._available_connections]:
        each.send_command("CLIENT", "ID")
        redis.client_kill_filter(_id=each.read_response())
        pool.release(each)


def test_a_peek_that_is_never_answered_is_given_up_within_seconds(connection, publish):
    with Consuming(connection) as consuming:
        consuming.until(lambda: len(connection.default_channel._peeks) == 2)
        peeks = connection.default_channel._peeks.values()
        consuming.until(lambda: any(peek.asked_at for peek in peeks))
        for peek in peeks:
            peek.asked_at = time.monotonic() - 4.5
        connection.default_channel.connection.cycle.on_poll_start()
        assert all(peek.asked_at > time.monotonic() - 4 for peek in peeks)
        publish()
        assert consuming.got() == ["x"]


def test_a_peek_whose_answer_lies_there_is_not_given_up(connection, publish, redis):
    """As after a pause of this process: it is late, the server is not."""
    with Consuming(connection) as consuming:
        consuming.until(lambda: len(connection.default_channel._peeks) == 2)
        publish()
        (peek,) = [each for each in connection.default_channel._peeks.values() if each.queue == "some"]
        consuming.until(lambda: peek.asked_at)
        before = peek.client.connection._sock
        assert wait_until(lambda: select.select([before], [], [], 0)[0], seconds=5)
        peek.asked_at = time.monotonic() - 100
        connection.default_channel.drop_overdue()
        assert (peek.client.connection._sock, peek.asked_at) == (before, None)
        assert consuming.got() == ["x"]


def test_a_server_that_was_demoted_is_left(server, redis, broker, tmp_path):
    """The address leads to the new master, and the connections that stay lead to the old one: it is a replica now."""
    with running_redis(tmp_path / "new") as new, running_relay("broker", server.port) as relay, new.client() as there:
        moved = BrokerSettings(url=Secret(f"redis://127.0.0.1:{relay.port}/0"))
        with (
            Connection(
                moved.url.reveal(), transport=transport_class(moved), transport_options=transport_options(moved)
            ) as connection,
            Consuming(connection) as consuming,
        ):
            consuming.until(lambda: len(connection.default_channel._peeks) == 2)
            relay.target = new.port
            redis.replicaof("127.0.0.1", new.port)
            try:
                with Connection(new.url) as producing:
                    producing.Producer().publish({"content": "x"}, exchange="", routing_key="some")
                consuming.until(lambda: consuming.messages)
                consuming.messages[0].ack()
                assert wait_until(lambda: there.hlen(NOTES) == 0, seconds=5)
            finally:
                redis.replicaof("NO", "ONE")


MESSAGE = {
    "body": "e30=", "content-type": "application/json", "content-encoding": "utf-8", "headers": {},
    "properties": {"delivery_tag": "t", "delivery_info": {"exchange": "", "routing_key": "some"}, "body_encoding": "base64"},
}  # fmt: skip


@pytest.mark.parametrize(
    "item",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b'{"properties": 1}',
        b"[" * 5000,
        json.dumps(MESSAGE | {"properties": {"delivery_info": {"exchange": "", "routing_key": "x"}}}).encode(),
        json.dumps(MESSAGE | {"properties": {"delivery_tag": "t", "delivery_info": {}}}).encode(),
        json.dumps(MESSAGE).encode().replace(b'"delivery_tag": "t"', b'"delivery_tag": "t\xbe"'),
        json.dumps(MESSAGE).encode().replace(b'"delivery_tag": "t"', b'"delivery_tag": ""'),
        # Redis reads these and Python does not.
        json.dumps(MESSAGE).replace('"headers": {}', '"headers": 0x10').encode(),
        json.dumps({**MESSAGE, "body": 7}).encode(),
        b" " * (broker_redis.ENVELOPE_LIMIT + 1),
    ],
    ids=lambda item: f"{item[:24]!r}",
)
def test_what_is_no_message_is_told_and_gone(connection, publish, redis, reasons, item):
    redis.lpush("some", item)
    publish()
    with Consuming(connection) as consuming:
        assert consuming.got() == ["x"]
        assert [queue for queue, _ in reasons] == ["some"]
        assert redis.hlen(NOTES) == 1


def test_a_note_that_nobody_can_read_does_not_hold_up_others(connect, publish, redis, reasons):
    redis.hset(NOTES, "bad", b"\xff")
    redis.zadd(INDEX, {"bad": 1})
    with Consuming(connect(visibility_timeout=1)) as consuming:
        consuming.until(lambda: redis.hlen(NOTES) == 0)
    assert [queue for queue, _ in reasons] == [NOTES]


def test_killed_at_any_moment_nothing_is_lost(server, broker, publish, redis):
    chance, total = random.Random(7), 300
    for number in range(total):
        publish(number)
    for _ in range(12):
        consumer = subprocess.Popen(
            [sys.executable, "-c", CONSUMER, server.url, transport_class(broker)],
            stdout=subprocess.PIPE,
        )
        assert consumer.stdout.readline()
        time.sleep(chance.uniform(0, 0.01))
        consumer.kill()
        consumer.wait()
    waiting, noted = where(redis)
    assert waiting + noted + redis.scard("done") >= total
    assert noted


DYING = """
import os, sys
from kombu import Connection, Consumer, Queue
from kombu.transport.virtual import Transport
Transport._deliver = lambda *_: os._exit(0)  # the first that is done with what came off the wire
options = {"unacked_key": "uw_unacked", "unacked_index_key": "uw_unacked_index"}
with Connection(sys.argv[1], transport=sys.argv[2], transport_options=options) as connection:
    with Consumer(connection, [Queue("some")], callbacks=[print]):
        while True:
            connection.drain_events()
"""


@pytest.mark.parametrize(("transport", "left"), [("redis", (0, 0)), ("ours", (0, 1))], ids=["kombu alone", "ours"])
def test_a_worker_that_dies_with_the_message_in_hand(server, broker, publish, redis, transport, left):
    """What makes `broker_redis` necessary: kombu alone loses the message. Once it does not, this test says so."""
    publish()
    named = transport_class(broker) if transport == "ours" else transport
    subprocess.run([sys.executable, "-c", DYING, server.url, named], check=True, timeout=30)
    assert where(redis) == left


def test_the_next_of_several_brokers_gets_the_same_transport(server, redis):
    """By kombu alone the transport of the second is kombu's own: messages are lost on their way out of it."""
    broker = BrokerSettings(url=Secret(f"redis://127.0.0.1:{free_port()}/0;{server.url}"))
    with publishing_connection(broker) as connection:
        assert type(connection.default_channel) is broker_redis.PeekChannel
    app = make_app(DEFINITION, settings_for(WorkerType.CALLBACK, CELERY_BROKER_BASE_URL=broker.url.reveal()))
    with app.connection_for_read() as connection:
        connection.ensure_connection(max_retries=2, interval_start=0)
        assert type(connection.default_channel) is broker_redis.PeekChannel


def test_doorbells_reach_the_last_of_several_brokers(server, redis):
    dead = ";".join(f"redis://127.0.0.1:{free_port()}/0" for _ in range(3))
    bells = CeleryDoorbells(BrokerSettings(url=Secret(f"{dead};{server.url}")), Metrics())
    bells.ring_callback("run")
    bells.close()
    assert redis.llen("uw_callback") == 1
