"""The workers' log events are taken off their queue and kept for a look."""

import kombu

from unstract_devstack.backend.log_drain import QUEUE, LogEvents, read


def publish(broker, channel, text):
    """As the workers do: by hand, to the default exchange, without declaring the queue."""
    kwargs = {"event": f"logs:{channel}", "message": {"type": "LOG", "log": text}, "user_session_id": channel}
    body = {"args": [], "kwargs": kwargs, "retries": 0, "utc": True}
    with kombu.Connection(broker) as connection, connection.Producer(serializer="json") as producer:
        producer.publish(body, exchange="", routing_key=QUEUE, headers={"task": "logs_consumer"})


def test_events_are_drained_and_shown(start, broker, until):
    stack = start(log_drain=True)
    publish(broker, "room-1", "first")
    publish(broker, "room-1", "second")
    events = until(lambda: [e for e in [stack.get("/dev/logs", channel="room-1")] if len(e) == 2])[0]
    assert [event["log"] for event in events] == ["first", "second"]
    assert stack.get("/dev/logs") == ["room-1"]
    assert stack.redis.llen(QUEUE) == 0


def test_events_stay_where_draining_is_off(start, broker):
    stack = start()
    publish(broker, "room-1", "first")
    assert stack.redis.llen(QUEUE) == 1
    assert stack.get("/dev/logs") == []


def test_oldest_events_and_channels_go():
    events = LogEvents(per_channel=2, channels=2)
    for channel in ("a", "b", "a", "a", "c"):
        events.add(channel, channel)
    assert (events.names(), events.of("a"), events.of("b")) == (["a", "c"], ["a", "a"], [])


def test_what_can_not_be_read_is_kept():
    assert read(b"no json") == ("unreadable", "b'no json'")
    assert read('{"kwargs": {}}')[0] == "unreadable"
