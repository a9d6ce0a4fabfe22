"""The bounded list of messages that can never be processed."""

from unstract_worker_core.ledger import DeadLetter

from .driver import Driver


def letter(number: int, body: str = "{}") -> DeadLetter:
    return DeadLetter(task="async_execute_bin", queue="celery", reason="not a UUID", task_id=str(number), body=body)


def test_letters_are_kept_newest_first(driver: Driver) -> None:
    for number in (1, 2):
        driver.ledger.dead_letters.add(letter(number))

    assert driver.ledger.dead_letters.list() == (letter(2), letter(1))
    assert driver.ledger.dead_letters.list(limit=1) == (letter(2),)


def test_the_oldest_letters_go_beyond_the_limit(driver: Driver) -> None:
    for number in range(12):
        driver.ledger.dead_letters.add(letter(number))

    assert driver.ledger.dead_letters.count() == driver.times.dead_letter_limit == 5
    assert [kept.task_id for kept in driver.ledger.dead_letters.list()] == ["11", "10", "9", "8", "7"]


def test_the_same_message_is_kept_once(driver: Driver) -> None:
    for number in (1, 2, 1):
        driver.ledger.dead_letters.add(letter(number))

    assert [kept.task_id for kept in driver.ledger.dead_letters.list()] == ["1", "2"]


def test_a_body_is_cut_and_made_fit_for_storing(driver: Driver) -> None:
    driver.ledger.dead_letters.add(letter(1, body="\ud800" + "x" * 100_000))

    (kept,) = driver.ledger.dead_letters.list()
    assert kept.body == "?" + "x" * 4095
