"""Fixtures of the ledger's tests: a ledger on the session's Redis, and a driver of its steps."""

from collections.abc import Callable, Iterator

import pytest
import stamina
from redis import Redis

from unstract_worker_core.ledger import Ledger

from .driver import Driver, Times


@pytest.fixture(autouse=True)
def one_attempt_per_step() -> Iterator[None]:
    with stamina.set_testing(True, attempts=1):
        yield


@pytest.fixture
def ledger(redis: Redis) -> Ledger:
    return Ledger(redis, Times())


@pytest.fixture
def driver(redis: Redis, ledger: Ledger) -> Driver:
    return Driver(redis, ledger)


@pytest.fixture
def new_driver(redis: Redis) -> Callable[[], Driver]:
    """Makes a driver of an emptied Redis, for tests that play many games."""

    def make() -> Driver:
        redis.flushall()
        return Driver(redis, Ledger(redis, Times()))

    return make
