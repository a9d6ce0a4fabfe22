"""Redis away, full, read-only or holding something else: the step did not happen, and the error says which."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from unstract_devstack.redis_server import RedisHandle, running_redis
from unstract_worker_core.errors import LedgerError, LedgerUnavailable
from unstract_worker_core.ledger import DeadLetter, Ledger, RunState
from unstract_worker_core.ledger.store import LedgerStore
from unstract_worker_core.redis import ledger_error

from .driver import Driver

RUN = "run-a"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisHandle]:
    with running_redis(tmp_path / "redis", appendonly=True) as handle:
        yield handle


@pytest.fixture
def full(redis: Redis) -> Iterator[Redis]:
    """Call `full.config_set("maxmemory", 1)` to fill it."""
    yield redis
    redis.config_set("maxmemory", 0)
    redis.config_set("min-replicas-to-write", 0)


def test_redis_gone_is_unavailable_and_the_step_works_once_it_is_back(own_redis: RedisHandle, driver: Driver) -> None:
    with own_redis.client() as client:
        ledger = Ledger(client, driver.times)
        there = type(driver)(client, ledger)
        there.accept(RUN)
        own_redis.kill()

        for step in (
            lambda: there.accept("run-b"),
            lambda: ledger.runs.state(RUN),
            ledger.dead_letters.count,
            lambda: list(ledger.runs.outcomes(RUN)),
        ):
            with pytest.raises(LedgerUnavailable, match="unreachable"):
                step()

        own_redis.start()
        assert there.accept("run-b").fresh
        assert not there.accept(RUN).fresh


def test_a_cut_in_between_is_tried_again(own_redis: RedisHandle, driver: Driver) -> None:
    with own_redis.client() as client, stamina.set_testing(True, attempts=3):
        seen: list[tuple[str, str]] = []
        ledger = Ledger(client, driver.times, observe=lambda step, outcome: seen.append((step, outcome)))
        there = type(driver)(client, ledger)
        there.accept(RUN)
        own_redis.kill()
        own_redis.start()

        assert there.accept("run-b").fresh
        assert seen[0] == seen[-1] == ("accept", "ok")


def test_scripts_are_loaded_again_after_redis_forgot_them(driver: Driver) -> None:
    driver.accept(RUN)
    driver.redis.script_flush()

    assert driver.claim(RUN).attempts == 0


def test_out_of_memory_refuses_each_step_and_leaves_nothing_half_written(driver: Driver, full: Redis) -> None:
    driver.accept("idle")
    driver.accept("accepted")
    owner = driver.claim("accepted")
    driver.armed(RUN, (2,))
    batch = driver.claim_batch(RUN, 0)
    driver.record(batch, 1)
    driver.record(batch, 2)
    runs = ("idle", "accepted", RUN, "new")
    before = [driver.exact(run) for run in runs]
    full.config_set("maxmemory", 1)

    for step in (
        lambda: driver.accept("new"),
        lambda: driver.claim("idle"),
        lambda: driver.ledger.runs.journal(owner, {"a": "b"}),
        lambda: driver.arm(owner, (1, 1)),
        lambda: driver.ledger.runs.release(owner),
        lambda: driver.ledger.batches.start_file(batch, 1),
        lambda: driver.ledger.batches.complete(batch),
        lambda: driver.ledger.batches.release(batch),
        lambda: driver.ledger.dead_letters.add(DeadLetter("task", "queue", "why")),
    ):
        with pytest.raises(LedgerUnavailable, match="refuses writes"):
            step()

    assert [driver.exact(run) for run in runs] == before
    full.config_set("maxmemory", 0)
    assert driver.ledger.batches.complete(batch) is RunState.READY


def test_a_run_can_be_closed_while_memory_is_short_so_that_its_payloads_go(driver: Driver, full: Redis) -> None:
    driver.ready(RUN)
    claim = driver.claim(RUN, RunState.READY)
    full.config_set("maxmemory", 1)

    assert driver.finish(claim)

    assert driver.keys(RUN) == [f"uw:{{{RUN}}}:meta"]


def test_too_few_replicas_is_unavailable(driver: Driver, full: Redis) -> None:
    full.config_set("min-replicas-to-write", 1)

    with pytest.raises(LedgerUnavailable, match="NOREPLICAS"):
        driver.accept(RUN)


def test_a_read_only_replica_is_unavailable(own_redis: RedisHandle, driver: Driver) -> None:
    with own_redis.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")

        with pytest.raises(LedgerUnavailable, match="ReadOnly"):
            type(driver)(client, Ledger(client, driver.times)).accept(RUN)


def test_a_key_of_another_type_is_an_error_that_will_not_pass(driver: Driver) -> None:
    driver.redis.lpush(f"uw:{{{RUN}}}:meta", "not ours")

    with pytest.raises(LedgerError, match="WRONGTYPE") as caught:
        driver.accept(RUN)
    assert not isinstance(caught.value, LedgerUnavailable)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ResponseError("BUSY Redis is busy running a script"), LedgerUnavailable),
        (ResponseError("MISCONF Redis is configured to save RDB snapshots"), LedgerUnavailable),
        (AuthenticationError("invalid username-password pair"), LedgerUnavailable),
        (
            ResponseError("Error running script (call to f_0a): @user_script:3: @user_script: 3: -OOM not allowed"),
            LedgerUnavailable,
        ),
        (ResponseError("BUSYGROUP no, s3cret OOM"), LedgerError),
        (RedisError("s3cret"), LedgerError),
    ],
)
def test_only_what_passes_by_itself_is_unavailable(error: RedisError, kind: type[LedgerError]) -> None:
    found = ledger_error(error, "accept")

    assert type(found) is kind
    assert str(found).startswith("accept: ")


def test_an_error_never_shows_what_was_written(driver: Driver) -> None:
    driver.redis.set(f"uw:{{{RUN}}}:meta", "x")

    with pytest.raises(LedgerError) as caught:
        driver.accept(RUN, start='{"token": "s3cret"}')
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_observer_is_told_of_every_call(driver: Driver) -> None:
    seen: list[tuple[str, str]] = []
    steps = LedgerStore(driver.redis, lambda step, outcome: seen.append((step, outcome)))
    driver.redis.set("uw:{broken}:meta", "x")

    steps.run("stop", RUN)
    with pytest.raises(LedgerError):
        steps.run("stop", "broken")

    assert seen == [("stop", "ok"), ("stop", "error")]
