"""An hour of load on the printed rule: the backlog is bounded, the fleet does not flap, running work is not killed."""

import copy
import random
from typing import Any

import pytest
from attrs import evolve

from unstract_worker_core.config import ProcessSettings
from unstract_worker_core.operator.scaling import Source, keda_manifests, target_of
from unstract_worker_core.queues import WORKER_QUEUES
from unstract_worker_core.statuses import WorkerType

from .cluster import Cluster

HOUR = 3600
SEEDS = (1, 2, 3)
BURSTS = (600, 1500)
LULLS = ((900, 1500), (2700, 3300))


def spec(worker: WorkerType = WorkerType.FILE_PROCESSING, *, running: bool = True) -> dict[str, Any]:
    target = target_of(worker, queues=("a", "b"), drain_seconds=45)
    target = evolve(target, source=Source.PROMETHEUS, prometheus="http://prometheus:9090" if running else None)
    return keda_manifests(target)[-1]["spec"]


def poisson(rate: float, chance: random.Random) -> int:
    """Arrivals in a second at this rate."""
    total, limit = 0, 2.718281828**-rate
    product = chance.random()
    while product > limit:
        total += 1
        product *= chance.random()
    return total


def day(now: int, chance: random.Random, *, shortest: int, longest: int) -> list[int]:
    """Bursts of 1,200 items within a minute, lulls without any, and a restless middle in between."""
    if any(start <= now < start + 60 for start in BURSTS):
        rate = 20.0
    elif any(start <= now < end for start, end in LULLS):
        rate = 0.0
    else:
        rate = 1.0 + 0.8 * ((now // 120) % 2)  # every two minutes almost twice as much, then less again
    return [chance.randint(shortest, longest) for _ in range(poisson(rate, chance))]


def hour(rule: dict[str, Any], *, shortest: int = 5, longest: int = 40, drain: int = 45, seed: int = 1) -> Cluster:
    def arrivals(now: int, chance: random.Random) -> list[int]:
        return day(now, chance, shortest=shortest, longest=longest)

    return Cluster(rule, arrivals, drain=drain, grace=drain + 30, seed=seed).run(HOUR)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_backlog_of_a_burst_is_gone_within_minutes(seed: int) -> None:
    cluster = hour(spec(), seed=seed)
    assert max(cluster.backlog) > 500  # the bursts are felt
    for burst in BURSTS:
        assert min(cluster.backlog[burst + 60 : burst + 240]) == 0
    assert cluster.longest_wait < 120
    assert cluster.finished + cluster.running + len(cluster.waiting) == cluster.arrived
    assert max(cluster.sizes) <= spec()["maxReplicaCount"]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_fleet_does_not_flap(seed: int) -> None:
    cluster = hour(spec(), seed=seed)
    # Up for the two bursts and for the load before and after them, down in the two lulls: nothing in between.
    assert cluster.reversals <= 6
    restless = copy.deepcopy(spec())
    restless["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] = 0
    assert hour(restless, seed=seed).reversals > 2 * cluster.reversals


@pytest.mark.parametrize("seed", SEEDS)
def test_the_fleet_shrinks_in_a_lull(seed: int) -> None:
    cluster = hour(spec(), seed=seed)
    assert cluster.sizes[LULLS[1][1] - 1] < max(cluster.sizes) / 2


@pytest.mark.parametrize("seed", SEEDS)
def test_no_running_work_is_killed_or_handed_back_that_is_shorter_than_the_drain(seed: int) -> None:
    cluster = hour(spec(), seed=seed)
    assert any(by < 0 for _, by in cluster.scaler.changes)
    assert (cluster.killed, cluster.handed_back) == (0, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_files_of_minutes_are_not_killed_and_not_handed_back_where_the_drain_is_longer(seed: int) -> None:
    short = hour(spec(), shortest=60, longest=300, seed=seed)
    assert short.killed == 0
    assert short.handed_back > 0  # a drain below the work's length costs repetitions, which is why it is said
    long = hour(spec(), shortest=60, longest=300, drain=300, seed=seed)
    assert (long.killed, long.handed_back) == (0, 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fleet_that_is_blind_to_running_work_is_shrunk_below_it(seed: int) -> None:
    seeing = hour(spec(), shortest=60, longest=300, seed=seed)
    blind = hour(spec(running=False), shortest=60, longest=300, seed=seed)
    assert blind.handed_back > seeing.handed_back


def test_a_grace_below_the_drain_kills() -> None:
    def arrivals(now: int, chance: random.Random) -> list[int]:
        return day(now, chance, shortest=60, longest=300)

    assert Cluster(spec(), arrivals, drain=300, grace=30).run(HOUR).killed > 0


@pytest.mark.parametrize("entry", WORKER_QUEUES, ids=lambda entry: entry.worker.value)
def test_every_workers_rule_settles_under_a_steady_load(entry: Any) -> None:
    def arrivals(now: int, chance: random.Random) -> list[int]:
        return [20] * (1 + now % 2)  # 30 slots

    cluster = Cluster(spec(entry.worker), arrivals, drain=45, grace=75).run(HOUR)
    assert max(cluster.backlog[600:]) <= entry.scaling.waiting_per_replica
    assert not [change for change in cluster.scaler.changes if change[0] > 1200]
    assert cluster.killed == 0


def test_the_least_grace_is_above_the_drain() -> None:
    drain = ProcessSettings().drain_seconds
    assert target_of(WorkerType.CALLBACK, queues=(), drain_seconds=drain).grace_seconds > drain
