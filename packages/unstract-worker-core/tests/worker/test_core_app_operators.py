"""Parts of the operators' commands: tables with and without rich, what of a dead letter can be sent again."""

import json
import sys

import pytest
from kombu import Connection

from unstract_worker_core.config import BrokerSettings, Secret
from unstract_worker_core.ledger import DeadLetter
from unstract_worker_core.operator.console import duration, table
from unstract_worker_core.operator.dead_letters_command import BrokerAway, NotRequeueable, message_of, publish

COLUMNS = ("run", "state")
ROWS = (("a-long-id", "ARMED"), ("b", "READY"))


def letter(body: str = '{"args": [1], "kwargs": {"a": "b"}}', **changes: str) -> DeadLetter:
    given = {"task": "async_execute_bin", "queue": "celery", "reason": "no", "task_id": "id-1", "body": body}
    return DeadLetter(**(given | changes))


def test_a_pipe_gets_plain_columns():
    assert table(COLUMNS, ROWS, terminal=False) == "run        state\na-long-id  ARMED\nb          READY"


def test_a_terminal_gets_richs_table_and_without_rich_plain_columns(monkeypatch):
    drawn = table(COLUMNS, ROWS, terminal=True)
    assert "─" in drawn
    assert all(cell in drawn for row in ROWS for cell in row)
    monkeypatch.setitem(sys.modules, "rich.table", None)
    assert table(COLUMNS, ROWS, terminal=True) == table(COLUMNS, ROWS, terminal=False)


def test_what_was_stored_cannot_steer_a_terminal():
    for terminal in (True, False):
        shown = table(("x",), (("a\x1b[2Jb\nc[red]d",),), terminal=terminal)
        assert "\x1b[2J" not in shown
        assert "a [2Jb c[red]d" in shown


def test_durations_are_in_the_unit_that_fits():
    reported = [duration(seconds) for seconds in (None, 0, 59, 90, -7200, 200_000)]
    assert reported == ["-", "0 s", "59 s", "1.5 min", "-2.0 h", "2.3 d"]


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (letter(task="orchestrate", queue=""), "a run that was closed"),
        (letter(body="", task="send_webhook_notification"), "nothing of its message was kept"),
        (letter(body='{"kwargs": {"password": "***"}}'), "secrets in its message were removed"),
        (letter(body=json.dumps({"args": ["x" * 5000]})[:4096]), "cut to 4 KiB"),
        (letter(body="[1, 2"), "not JSON"),
        (letter(body='"text"'), "not a task's arguments"),
        (letter(task="unheard.of", queue=""), "name one with --queue"),
    ],
)
def test_a_letter_that_was_not_kept_whole_is_not_sent(kept, reason):
    with pytest.raises(NotRequeueable, match=reason):
        message_of(kept, None)


def test_a_queue_is_a_name():
    with pytest.raises(NotRequeueable, match="letters, digits"):
        message_of(letter(), "uw_files\r\nSET x")
    assert message_of(letter(queue=""), None).queue == "celery"  # the task's own
    assert message_of(letter(), "somewhere-else_2").queue == "somewhere-else_2"


@pytest.mark.parametrize("body", ['{"args": [1], "kwargs": {"a": "b"}}', '[[1], {"a": "b"}, {"chord": null}]'])
def test_a_letter_is_sent_as_celery_sends_it(redis_url, body):
    publish(message_of(letter(body), "a_queue"), BrokerSettings(Secret(redis_url)))
    with Connection(redis_url) as connection:
        got = connection.SimpleQueue("a_queue").get(timeout=10)
        assert (got.headers["task"], got.headers["id"], got.properties["delivery_mode"]) == (
            "async_execute_bin",
            "id-1",
            2,
        )
        assert got.payload[:2] == [[1], {"a": "b"}]
        got.ack()


def test_a_broker_that_is_away_is_said_with_the_cause():
    with pytest.raises(BrokerAway, match="connection refused: nothing listens there"):
        publish(message_of(letter(), None), BrokerSettings(Secret("redis://127.0.0.1:1/0")))
