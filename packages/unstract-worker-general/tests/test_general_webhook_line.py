"""One slow receiver delays no other one (W8): a limit for each host, and a queue for further deliveries."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from attrs import define, evolve, field

from unstract_devstack.processes import wait_until
from unstract_devstack.sink import Answer, running_sink
from unstract_worker_core.errors import SteppedAside
from unstract_worker_core.ledger import RunTask
from unstract_worker_core.statuses import RunKind
from unstract_worker_core.testing import RecordingDoorbells
from unstract_worker_general.webhooks import client as client_module
from unstract_worker_general.webhooks.client import HostLimiter, HostLimits

SLOTS = 8


@define(eq=False)
class PoolBells(RecordingDoorbells):
    """Doorbells that a pool of threads answers, as a worker's slots do."""

    answer: object = None
    pool: ThreadPoolExecutor = field(factory=lambda: ThreadPoolExecutor(SLOTS))

    def ring_start(self, run_id, *, task, kind):
        super().ring_start(run_id, task=task, kind=kind)
        self.pool.submit(self.answer, run_id)


@pytest.fixture
def bells(rig, webhooks):
    process = evolve(rig.runtime.settings.process, concurrency=SLOTS)
    rig.runtime.settings = evolve(rig.runtime.settings, process=process)
    rig.runtime.doorbells = bells = PoolBells(answer=webhooks.deliver)
    yield bells
    bells.pool.shutdown()


def done(webhooks, runs):
    return all(webhooks.final(run) is not None for run in runs)


def test_w8_one_bad_receiver_does_not_delay_a_hundred_good_ones(webhooks, bells):
    webhooks.resolve(lambda host: ["127.0.0.1"])
    with running_sink() as bad, running_sink() as good:
        bad.answer = Answer(hang=True)
        stuck = [webhooks.accept(bad.url.replace("127.0.0.1", "bad.test"), timeout=30) for _ in range(20)]
        sent = [
            webhooks.accept(good.url.replace("127.0.0.1", f"good{number % 10}.test"), timeout=30)
            for number in range(100)
        ]
        # No slow one has ended yet: they use their own slots only.
        assert wait_until(lambda: done(webhooks, sent), seconds=25)
        assert len(bad.received()) == 4
        assert [webhooks.final(run) for run in stuck] == [None] * 20
        assert len({post.headers["webhook-id"] for post in good.received()}) == len(good.received()) == 100
        # Those in line were not charged, and are called as soon as there is a place.
        bad.release()
        assert wait_until(lambda: done(webhooks, stuck), seconds=25)
    assert {webhooks.final(run)["attempts"] for run in stuck} == {1}


def test_w8_a_burst_to_one_host_goes_out_at_the_hosts_pace(rig, webhooks, bells):
    with running_sink() as sink:
        runs = [webhooks.accept(sink.url) for _ in range(60)]
        assert wait_until(lambda: done(webhooks, runs), seconds=25)
        assert len(sink.received()) == 60
    assert {webhooks.final(run)["attempts"] for run in runs} == {1}


def test_w8_a_waiting_delivery_is_not_charged_and_not_forgotten(rig, webhooks):
    entered, leave = threading.Event(), threading.Event()
    webhooks.allow(allowed_networks=("127.0.0.0/8",), per_host=1)

    def slow(host):
        entered.set()
        assert leave.wait(30)
        return ["127.0.0.1"]

    webhooks.resolve(slow)
    with running_sink() as sink:
        url = sink.url.replace("127.0.0.1", "hooks.test")
        first, second = webhooks.accept(url, timeout=30), webhooks.accept(url)
        thread = threading.Thread(target=webhooks.deliver, args=(first,))
        thread.start()
        assert entered.wait(30)
        webhooks.deliver(second)
        meta = rig.meta(second)
        assert (meta["attempts"], meta["owner"]) == ("0", "")
        assert meta["last_error"] == "enough deliveries to this host are under way"
        seconds, micro = rig.redis.time()
        # The ledger rings for it by itself, even if no delivery calls it.
        assert 9_000 < rig.redis.zscore("uw:due", second) - (seconds * 1000 + micro / 1000) <= 10_000
        rig.rung.clear()
        leave.set()
        thread.join(30)
        assert rig.starts == [(second, RunTask.WEBHOOK, RunKind.ETL)]
        assert webhooks.deliver(second)
        assert len(sink.received()) == 2
    assert webhooks.count("waiting") == 1


def test_w8_a_place_is_given_back_whatever_happens(rig, webhooks):
    webhooks.allow(allowed_networks=("127.0.0.0/8",), per_host=1)
    rig.runtime.draining.set()
    with running_sink() as sink:
        run = webhooks.accept(sink.url)
        with pytest.raises(SteppedAside):
            webhooks.deliver(run)
        rig.runtime.draining.clear()
        assert webhooks.deliver(run)
        assert len(sink.received()) == 1


@pytest.mark.parametrize(
    ("slots", "per_host", "limits"),
    [(16, 4, HostLimits(4, 12)), (16, 100, HostLimits(8, 12)), (4, 4, HostLimits(2, 3)), (1, 4, HostLimits(1, 1))],
)
def test_w8_no_host_gets_all_slots_and_deliveries_leave_some(rig, slots, per_host, limits):
    settings = rig.runtime.settings
    process, webhook = evolve(settings.process, concurrency=slots), evolve(settings.webhook, per_host=per_host)
    assert HostLimits.of(evolve(settings, process=process, webhook=webhook)) == limits


def test_w8_hosts_in_line_take_turns():
    places, limits = HostLimiter(), HostLimits(host=1, total=1)
    with places.acquire("z", "z1", limits) as taken:
        assert taken
        for host, run in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a1")]:
            with places.acquire(host, run, limits) as another:
                assert not another
            places.enqueue(host, run)
        assert places.next_waiting(limits) is None
        assert places.wait_seconds() == pytest.approx(10.3)
    assert [places.next_waiting(limits) for _ in range(4)] == ["a1", "b1", "a2", None]
    assert places.wait_seconds() == 10.0


def test_w8_a_busy_host_is_passed_over_in_the_line():
    places, limits = HostLimiter(), HostLimits(host=1, total=9)
    for host in ("a", "b"):
        places.enqueue(host, f"{host}2")
    with places.acquire("a", "a1", limits):
        assert [places.next_waiting(limits) for _ in range(2)] == ["b2", None]
    assert places.next_waiting(limits) == "a2"


def test_w8_a_delivery_that_runs_waits_no_more():
    places, limits = HostLimiter(), HostLimits(host=1, total=9)
    places.enqueue("a", "a1")
    with places.acquire("a", "a1", limits):
        pass
    assert places.next_waiting(limits) is None


def test_w8_the_line_has_an_end(monkeypatch):
    monkeypatch.setattr(client_module, "_LONGEST_QUEUE", 1)
    places, limits = HostLimiter(), HostLimits(host=1, total=1)
    for run in ("a1", "a2"):
        places.enqueue("a", run)
    assert [places.next_waiting(limits) for _ in range(2)] == ["a1", None]


def test_w8_a_call_that_came_too_late_is_passed_on(rig, webhooks):
    webhooks.client.limiter.enqueue("a", "webhook.other")
    assert not webhooks.deliver("webhook.gone")
    assert rig.starts == [("webhook.other", RunTask.WEBHOOK, RunKind.ETL)]
