"""The bounded list of messages that can never be processed."""

from datetime import UTC, datetime

from attrs import evolve

from unstract_worker_core.ledger import DeadLetter

from .driver import Driver


def letter(number: int, body: str = "{}") -> DeadLetter:
    return DeadLetter(task="async_execute_bin", queue="celery", reason="not a UUID", task_id=str(number), body=body)


def test_letters_are_kept_newest_first(driver: Driver) -> None:
    for number in (1, 2):
        driver.ledger.dead_letters.add(letter(number))

    kept = driver.ledger.dead_letters.newest()
    assert [evolve(each, at="") for each in kept] == [letter(2), letter(1)]
    assert driver.ledger.dead_letters.newest(limit=1) == kept[:1]


def test_every_letter_has_its_time_and_a_queue(driver: Driver) -> None:
    before = datetime.now(UTC)
    driver.ledger.dead_letters.add(DeadLetter("send_webhook_notification", "", "no receiver"))

    (kept,) = driver.ledger.dead_letters.newest()
    assert before <= datetime.fromisoformat(kept.at) <= datetime.now(UTC)
    assert kept.queue == "notifications"


def test_the_oldest_letters_go_beyond_the_limit(driver: Driver) -> None:
    for number in range(12):
        driver.ledger.dead_letters.add(letter(number))

    assert driver.ledger.dead_letters.count() == driver.times.dead_letter_limit == 5
    assert [kept.task_id for kept in driver.ledger.dead_letters.newest()] == ["11", "10", "9", "8", "7"]


def test_the_same_message_is_kept_once(driver: Driver) -> None:
    for number in (1, 2, 1):
        driver.ledger.dead_letters.add(letter(number))

    assert [kept.task_id for kept in driver.ledger.dead_letters.newest()] == ["1", "2"]


def test_messages_without_an_id_are_not_taken_for_the_same(driver: Driver) -> None:
    for _ in range(2):
        driver.ledger.dead_letters.add(DeadLetter("", "celery", "not a message envelope"))

    assert driver.ledger.dead_letters.count() == 2


def test_a_body_is_cut_and_made_fit_for_storing(driver: Driver) -> None:
    driver.ledger.dead_letters.add(letter(1, body="\ud800" + "x" * 100_000))

    (kept,) = driver.ledger.dead_letters.newest()
    assert kept.body == "?" + "x" * 4095


def test_a_record_that_cannot_be_read_hides_no_letter_and_keeps_none_from_being_added(driver: Driver) -> None:
    letters = driver.ledger.dead_letters
    letters.add(letter(1))
    driver.redis.lpush("uw:dead_letters", '{"task": 5', "no JSON")
    letters.add(letter(2))

    reasons = [each.reason for each in letters.newest()]
    assert [reason.startswith("this record cannot be read") for reason in reasons] == [False, True, True, False]
    assert letters.count() == 4
