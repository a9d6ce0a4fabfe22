"""Log events for the platform's UI: their form, and that they never stand in the way."""

import json
import os
import threading
import time
from base64 import b64decode

import pytest
from kombu.connection import Connection
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from unstract_worker_core.queues import LOG_QUEUE
from unstract_worker_core.ui_logs import LogEvent, LogEvents

EVENT = LogEvent("channel-1", "Files to process: 2", "execution-1", "org_1", "INITIALIZE", "WARN", "file-execution-1")
BRIEF = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0, "socket_connect_timeout": 1}


class Outcomes(list):
    """What was observed."""

    def wait_for(self, count, seconds=15.0):
        deadline = time.monotonic() + seconds
        while len(self) < count:
            assert time.monotonic() < deadline, list(self)
            time.sleep(0.005)


@pytest.fixture
def outcomes():
    return Outcomes()


@pytest.fixture
def make_events(redis, redis_url, outcomes):
    made = []

    def make(connect=lambda: Connection(redis_url, transport_options=BRIEF), redis=redis, **more):
        made.append(LogEvents(connect, redis, ttl_seconds=300, observe=outcomes.append, **more))
        return made[-1]

    yield make
    for events in made:
        events.stop()


def messages(redis):
    """What waits in the queue, oldest first: kombu puts a message in front."""
    return [json.loads(raw) for raw in reversed(redis.lrange(LOG_QUEUE, 0, -1))]


def body(message):
    return json.loads(b64decode(message["body"]))


def test_a_message_is_what_the_contract_says(redis, make_events):
    events = make_events()
    before = time.time()

    events.log(EVENT)
    events.stop()

    (message,) = messages(redis)
    assert message["headers"] == {"task": "logs_consumer"}
    assert message["content-type"] == "application/json"
    assert message["properties"]["delivery_info"] == {"exchange": "", "routing_key": "celery_log_task_queue"}
    reported = body(message)
    logged = reported["kwargs"]["message"]
    assert before <= logged["timestamp"] <= time.time()
    expected = {
        "timestamp": logged["timestamp"], "type": "LOG", "level": "WARN", "stage": "INITIALIZE",
        "log": "Files to process: 2", "cost_type": None, "cost_units": None, "cost_value": None, "step": None,
        "iteration": None, "iteration_total": None, "execution_id": "execution-1",
        "file_execution_id": "file-execution-1", "organization_id": "org_1",
    }  # fmt: skip
    assert reported == {
        "args": [],
        "kwargs": {"event": "logs:channel-1", "message": expected, "user_session_id": "channel-1"},
        "retries": 0,
        "utc": True,
    }
    key = f"logs:channel-1:{logged['timestamp']}"
    assert json.loads(redis.get(key)) == expected
    assert 290 < redis.ttl(key) <= 300


def test_the_queue_is_not_declared(redis, make_events):
    events = make_events()

    events.log(EVENT)
    events.stop()

    assert redis.keys("_kombu.binding.*") == []
    assert redis.type(LOG_QUEUE) == "list"


def test_events_keep_their_order_and_stop_waits_for_them(redis, make_events, outcomes):
    events = make_events()

    for number in range(50):
        events.log(LogEvent("c", str(number), "e", "o"))
    events.stop()

    assert [body(message)["kwargs"]["message"]["log"] for message in messages(redis)] == [str(n) for n in range(50)]
    assert outcomes == ["sent"] * 50


@pytest.mark.parametrize("channel", [None, ""])
def test_an_event_without_a_listener_goes_nowhere(redis, make_events, channel, outcomes):
    events = make_events()

    events.log(LogEvent(channel, "nobody listens", "e", "o"))
    events.stop()

    assert redis.keys() == []
    assert outcomes == []
    assert events._thread is None


def test_nothing_starts_before_the_first_event(make_events):
    before = threading.active_count()

    events = make_events()
    events.stop()

    assert threading.active_count() == before


def test_it_goes_on_after_a_stop(redis, make_events, outcomes):
    events = make_events()
    for number in range(3):
        events.log(EVENT)
        events.stop()
        events.stop()
        assert outcomes == ["sent"] * (number + 1)

    assert len(messages(redis)) == 3


def test_an_idle_connection_is_given_up_and_made_again(redis, redis_url, make_events, outcomes):
    made = []

    def connect():
        made.append(Connection(redis_url, transport_options=BRIEF))
        return made[-1]

    events = make_events(connect, idle_seconds=0.01)
    for number in range(3):
        events.log(EVENT)
        outcomes.wait_for(number + 1)
        deadline = time.monotonic() + 10
        while made[-1].connected:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    assert len(made) == 3
    assert outcomes == ["sent"] * 3


def test_one_connection_serves_many_events(redis_url, make_events, outcomes):
    made = []

    def connect():
        made.append(Connection(redis_url, transport_options=BRIEF))
        return made[-1]

    events = make_events(connect)
    for number in range(5):
        events.log(EVENT)
        outcomes.wait_for(number + 1)

    assert len(made) == 1


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1/0", "amqp://guest:secret@127.0.0.1:1//", "redis://no.such.host./0"]
)
def test_a_broker_that_is_away_is_counted_and_the_next_event_is_tried_again(
    redis, redis_url, make_events, outcomes, url
):
    where = [url, redis_url]
    events = make_events(lambda: Connection(where.pop(0), transport_options=BRIEF, connect_timeout=1))

    events.log(EVENT)
    outcomes.wait_for(1)
    events.log(EVENT)
    events.stop()

    assert outcomes == ["failed", "sent"]
    assert len(messages(redis)) == 1


class OwnError(Exception):
    """As drivers have them: neither an OSError nor kombu's."""


def test_an_error_of_a_driver_s_own_does_not_end_the_thread(redis, redis_url, make_events, outcomes):
    def connect():
        if not outcomes:
            raise OwnError
        return Connection(redis_url, transport_options=BRIEF)

    events = make_events(connect)
    events.log(EVENT)
    outcomes.wait_for(1)
    thread = events._thread
    events.log(EVENT)
    outcomes.wait_for(2)

    assert outcomes == ["failed", "sent"]
    assert events._thread is thread


def test_a_connection_that_is_cut_costs_one_event(redis, make_events, outcomes):
    events = make_events()
    events.log(EVENT)
    outcomes.wait_for(1)
    redis.client_kill_filter(skipme=True, _type="normal")

    for sent in range(2, 5):
        events.log(EVENT)
        outcomes.wait_for(sent)

    assert outcomes.count("failed") <= 1
    assert outcomes[-1] == "sent"
    assert len(messages(redis)) == outcomes.count("sent")


def test_a_platform_redis_that_is_away_is_counted(make_events, outcomes):
    with Redis(port=1, retry=Retry(NoBackoff(), 0)) as nowhere:
        events = make_events(redis=nowhere)
        events.log(EVENT)
        events.stop()

    assert outcomes == ["failed"]


def test_a_platform_redis_that_is_full_is_counted(redis, make_events, outcomes):
    events = make_events()
    redis.config_set("maxmemory", "1")
    try:
        events.log(EVENT)
        events.stop()
    finally:
        redis.config_set("maxmemory", "0")

    assert outcomes == ["failed"]


def test_what_does_not_fit_is_dropped_and_counted(make_events, outcomes):
    going_on = threading.Event()

    def connect():
        going_on.wait(15)
        raise OSError

    events = make_events(connect)
    events.log(EVENT)
    deadline = time.monotonic() + 10
    while not events._waiting.empty():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    for _ in range(2003):
        events.log(EVENT)

    assert outcomes == ["dropped"] * 3
    began = time.monotonic()
    events.stop(timeout=0.05)  # no room to say so: it is left as it is
    assert time.monotonic() - began < 10
    going_on.set()
    events.stop()
    assert outcomes.count("failed") == 2001


def test_stopping_waits_no_longer_than_asked(make_events):
    going_on = threading.Event()

    def connect():
        going_on.wait(15)
        raise OSError

    events = make_events(connect)
    events.log(EVENT)

    events.stop(timeout=0.01)

    assert events._thread.is_alive()
    going_on.set()


def test_a_process_that_can_start_no_thread_drops_and_counts(make_events, outcomes):
    events = make_events()
    before = threading.stack_size(1 << 46)  # more than any machine has
    try:
        events.log(EVENT)
    finally:
        threading.stack_size(before)

    assert outcomes == ["dropped"]
    events.stop()
    events.log(EVENT)
    events.stop()
    assert outcomes == ["dropped", "sent"]


def test_many_threads_may_log(redis, make_events, outcomes):
    events = make_events()
    threads = [threading.Thread(target=events.log, args=(EVENT,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events.stop()

    assert len(messages(redis)) == 20
    assert outcomes == ["sent"] * 20


def test_a_child_of_a_fork_has_a_thread_of_its_own(redis, make_events, outcomes):
    events = make_events()
    events.log(EVENT)
    outcomes.wait_for(1)

    child = os.fork()
    if child == 0:
        code = 1
        try:
            own = len(outcomes)
            events.log(LogEvent("child", "from the child", "e", "o"))
            events.stop()
            code = 0 if outcomes[own:] == ["sent"] else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    events.log(EVENT)
    events.stop()
    assert [body(message)["kwargs"]["user_session_id"] for message in messages(redis)] == [
        "channel-1", "child", "channel-1",
    ]  # fmt: skip
