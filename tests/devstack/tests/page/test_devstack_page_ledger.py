"""The ledger is read without knowing much of it: what is unknown is shown, what is broken harms nothing."""

import json
import re

from unstract_devstack.page.ledger_keys import LedgerKeys
from unstract_devstack.page.views import execution_view, overview
from unstract_devstack.ports import free_port


def test_a_run_is_read_with_its_batches(scene):
    meta = {"epoch": "3", "attempts": "1", "fence": "7", "accepted_at": "1700000000000", "stop": "1", "newer": "field"}
    scene.run("run-1", **meta)
    lease = {"owner": "file-processing-1", "fence": 4, "ends": 1_700_000_060_000, "file": 5, "first": 1, "newer": []}
    scene.redis.hset("uw:{run-1}:leases", mapping={"1": json.dumps(lease)})
    scene.redis.hset("uw:{run-1}:outcomes", "0", "4")
    scene.redis.zadd("uw:due", {"run-1": 1_700_000_090_000})
    run = LedgerKeys.connect(scene.redis_url).run("run-1", batches=10)
    fields = ("state", "epoch", "attempts", "fence", "stop", "accepted_at")
    assert [run.fields[name] for name in fields] == ["ARMED", "3", "1", "7", "1", "1700000000000"]
    assert (run.batches, run.done, run.due) == (2, 1, 1_700_000_090_000)
    assert run.others == [("newer", "field")]
    assert (run.outcomes, run.leases) == ({"0"}, ({}, lease))
    html = execution_view(scene.sources(), scene.execution(id="run-1")).fragments["run"]
    assert re.search(r"(?s)DONE.*Batch 0.*EXECUTING.*Batch 1.*file in flight\">5<.*file-processing-1", html)


def test_what_is_not_understood_is_left_out_and_harms_nothing(scene):
    scene.run("odd", n="many", epoch="", attempts="1e999", accepted_at="soon")
    scene.redis.hset("uw:{odd}:leases", "0", "not json")
    scene.redis.set("uw:{odd}:outcomes", "no hash any more")
    scene.redis.sadd("uw:open", "gone", "another kind")
    scene.redis.set("uw:{another kind}:meta", "no hash either")
    scene.redis.lpush("uw:dead_letters", "[1]", '{"task": null, "reason": 3}')
    ledger = LedgerKeys.connect(scene.redis_url)
    state = ledger.state(limit=10, letters=10)
    assert (state.total, state.problem) == (3, "")
    odd = next(run for run in state.runs if run.id == "odd")
    assert (odd.fields["state"], odd.batches, odd.done) == ("ARMED", 0, None)
    assert ledger.run("odd", batches=5).leases == ()
    assert [letter["reason"] for letter in state.letters] == [3, "[1]"]
    assert ledger.run("never heard of", batches=5) is None
    assert "unknown" in overview(scene.sources()).fragments["ledger"]
    assert "Accepted" in execution_view(scene.sources(), scene.execution(id="odd")).fragments["run"]


def test_only_so_many_runs_are_read(scene):
    for number in range(40):
        scene.run(f"run-{number}")
    state = LedgerKeys.connect(scene.redis_url).state(limit=25, letters=5)
    assert (state.total, len(state.runs)) == (40, 25)
    assert "25 of 40 shown" in overview(scene.sources()).fragments["ledger"]


def test_reading_changes_nothing(scene):
    scene.run("run-1")
    writes = scene.redis.info("persistence")["rdb_changes_since_last_save"]
    LedgerKeys.connect(scene.redis_url).state(limit=5, letters=5)
    LedgerKeys.connect(scene.redis_url).run("run-1", batches=5)
    assert scene.redis.info("persistence")["rdb_changes_since_last_save"] == writes


def test_a_redis_that_is_not_there_is_told():
    ledger = LedgerKeys.connect(f"redis://127.0.0.1:{free_port()}/0")
    assert "does not answer" in ledger.state(limit=5, letters=5).problem
    assert ledger.run("run-1", batches=5) is None
