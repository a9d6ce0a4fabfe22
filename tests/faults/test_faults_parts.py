import json
import re
import socket
import time
from collections import Counter
from xml.dom import minidom

import pytest

from unstract_devstack.faults import report, tested
from unstract_devstack.faults.__main__ import main, options_of, parser
from unstract_devstack.faults.checker import AS_REAL, KEYED, Judged, Tally
from unstract_devstack.faults.nemesis import Kind, cut_log, plan
from unstract_devstack.faults.outcome import ALL_IDS, FAIL, PASS, Outcome, Run
from unstract_devstack.faults.relay import running_relay
from unstract_devstack.faults.tap import MessageTap
from unstract_devstack.faults.tested import ids_with_tests
from unstract_devstack.faults.trial import EXPERIMENTS, Trial
from unstract_devstack.processes import wait_until
from unstract_devstack.producer import Producer
from unstract_devstack.redis_server import running_redis

LINE = [
    "ok", "seed", "executions", "terminal", "files", "effects_lost", "effects_doubled", "effects_doubled_unkeyed",
    "callbacks_lost", "callbacks_doubled", "notifications_lost", "notifications_doubled", "status_regressions",
    "faults", "results",
]  # fmt: skip


def outcome(identifier, verdict, mode=KEYED, **more):
    return Outcome(identifier, mode, verdict, "what it shows", scaled=True, seconds=1.5, **more)


def a_run(*outcomes):
    tallies = {KEYED: Tally(executions=3, terminal=3, files=9), AS_REAL: Tally(2, 2, 4, effects_doubled_unkeyed=1)}
    return Run(7, 20, 10, False, 1_750_000_000.0, 12.0, outcomes, tallies, Counter(kill_redis=2))


def test_a_seed_gives_one_schedule_and_another_gives_another():
    one, same, other = (plan(seed, kills=20, seconds=40) for seed in (5, 5, 6))

    assert one == same
    assert one != other


def test_a_schedule_kills_as_often_as_asked_for_and_is_in_order():
    actions = plan(3, kills=20, seconds=40)

    kills = [each for each in actions if each.kind in (Kind.KILL_FILES, Kind.KILL_CALLBACK, Kind.KILL_START)]
    assert len(kills) == 20
    assert {Kind.KILL_REDIS, Kind.FREEZE_REDIS, Kind.OUTAGE, Kind.DROP_DOORBELLS} <= {each.kind for each in actions}
    assert [each.at for each in actions] == sorted(each.at for each in actions)
    assert all(0 <= each.at <= 40 for each in actions)


def test_the_line_sums_both_modes_and_names_every_id():
    line = json.loads(a_run(outcome("R1", PASS), outcome("R1", PASS, AS_REAL)).line())

    assert list(line) == LINE
    assert (line["executions"], line["files"], line["effects_doubled_unkeyed"]) == (5, 13, 1)
    assert (line["ok"], line["results"]["R1"], line["results"]["R4"]) == (True, "pass", "not run")
    assert tuple(line["results"]) == ALL_IDS


@pytest.mark.parametrize("verdicts", [(PASS, FAIL), (FAIL, PASS)])
def test_a_failure_in_one_mode_is_a_failure(verdicts):
    result = a_run(outcome("R1", verdicts[0]), outcome("R1", verdicts[1], AS_REAL))

    assert (result.ok, result.results()["R1"]) == (False, "fail")


def test_nothing_run_is_not_ok():
    assert not a_run().ok


def test_a_saved_run_is_read_back():
    result = a_run(outcome("R1", FAIL, problems=("lost",), recovery=(1.0, 2.5)))

    read = Run.read(result.saved())

    assert read.saved() == result.saved()
    assert read.line() == result.line()


def test_the_page_says_what_was_run_and_what_was_not(tmp_path):
    (tmp_path / "run.json").write_text(
        a_run(outcome("R1", PASS, recovery=(0.5, 1.0, 2.0, 4.0)), outcome("B1", FAIL)).saved()
    )

    report.main([str(tmp_path / "run.json"), str(tmp_path)])

    text = (tmp_path / "RESULTS.md").read_text()
    assert "seed 7" in text
    assert "| B1 | keyed | fail |" in text
    assert re.search(r"Not run here: .*R2, .*B2", text)
    assert "below 75.00%" in text  # 3 in 4 executions that were hit
    assert _is_svg((tmp_path / "recovery.svg").read_text())


def test_a_page_without_recovery_times_has_a_plot_all_the_same(tmp_path):
    (tmp_path / "run.json").write_text(a_run(outcome("R1", PASS)).saved())

    report.main([str(tmp_path / "run.json"), str(tmp_path)])

    assert _is_svg((tmp_path / "recovery.svg").read_text())


def _is_svg(text):
    return minidom.parseString(text).documentElement.tagName == "svg"  # noqa: S318 - our own text


def test_options():
    chosen = options_of(parser().parse_args(["--only", "r5, R11", "--mode", "keyed", "--kills", "3", "--seed", "9"]))

    assert (chosen.seed, chosen.kills, chosen.modes) == (9, 3, (KEYED,))
    assert {each.id for each in chosen.selected(KEYED)} == {"R5", "R11"}


def test_messages_are_heard_and_can_be_pushed_again(tmp_path):
    with running_redis(tmp_path) as server:
        tap = MessageTap(server)
        tap.start()
        try:
            with server.client() as client:
                assert wait_until(lambda: "monitor" in {each["cmd"] for each in client.client_list()}, seconds=5)
            producer = Producer(server.url)
            producer.send("a_task", ['an "odd" \\ name é'], {"execution_id": "e1"}, queue="some_queue")
            assert wait_until(lambda: bool(tap.heard(("some_queue",), "e1")), seconds=5)
            tap.push(tap.heard(run_id="e1"))
            with server.client() as client:
                first, again = client.lrange("some_queue", 0, -1)
            producer.close()
        finally:
            tap.stop()
    assert first == again


def test_cutting_the_log_loses_the_newest_writes(tmp_path):
    from attrs import frozen

    @frozen
    class Only:
        redis: object

    with running_redis(tmp_path) as server:
        with server.client() as client:
            # With everysec a write waits for a flush under way: what is cut would not be all that is lost.
            client.config_set("appendfsync", "always")
            client.set("old", "1")
            client.set("filler", "x" * 5000)
            client.set("new", "1")
        cut_log(Only(server), 100)
        with server.client() as client:
            assert (client.get("old"), client.get("new")) == ("1", None)


def test_every_id_is_proven_by_an_experiment_or_by_tests_and_not_by_both():
    assert set(EXPERIMENTS) | set(ids_with_tests()) == set(ALL_IDS)
    assert not set(EXPERIMENTS) & set(ids_with_tests())


def test_the_default_run_has_every_id():
    options = options_of(parser().parse_args([]))

    found = {each for lane in options.lanes() for each in lane.ids} | set(options.tested())

    assert found == set(ALL_IDS)


def test_experiments_that_need_a_ground_of_their_own_are_in_a_lane_of_their_own():
    lanes = options_of(parser().parse_args(["--only", "R12,R15,R16,R25,M1"])).lanes()

    assert [(lane.mode, lane.ids) for lane in lanes] == [(KEYED, ("R12", "R15", "R16")), (AS_REAL, ("R25",))]


def noted(folder, *notes):
    path = folder / "notes.jsonl"
    lines = [json.dumps({"test": test, "outcome": outcome, "seconds": 1.0}) for test, outcome in notes]
    path.write_text("".join(f"{line}\n" for line in lines) + '{"test": "cut')
    return list(tested._read(path))


KNOWN = tested.Tested("M1", "what", ("a.py::one", "a.py::two"))


@pytest.mark.parametrize(
    ("notes", "verdict"),
    [
        ([("a.py::one", "passed"), ("a.py::one", "passed"), ("a.py::two", "passed")], PASS),
        ([("a.py::one", "passed"), ("a.py::two", "failed")], FAIL),
        ([("a.py::one", "passed"), ("a.py::one", "failed"), ("a.py::two", "passed")], FAIL),
        ([("a.py::one", "passed")], None),
        ([("a.py::one", "passed"), ("a.py::two", "skipped")], None),
        ([], None),
    ],
)
def test_an_id_passed_only_if_each_of_its_tests_was_made_and_passed(tmp_path, notes, verdict):
    found = tested._outcome(KNOWN, noted(tmp_path, *notes))

    assert (found and found.verdict) == verdict


def test_tests_are_run_and_what_they_say_is_the_ids_verdict(tmp_path, capsys):
    result = tested.run_tests(["B7"], tmp_path, time.monotonic() + 60.0)

    assert result.results()["B7"] == "pass"
    assert result.results()["B8"] == "not run"
    assert "B7  pass" in capsys.readouterr().out


def test_a_relay_passes_on_goes_silent_for_ever_and_hangs_up():
    with socket.create_server(("127.0.0.1", 0)) as server, running_relay("any", server.getsockname()[1]) as relay:
        old, far = connected(server, relay)
        old.sendall(b"one")
        assert far.recv(10) == b"one"
        relay.silence()
        old.sendall(b"two")
        relay.heal()
        new, far_new = connected(server, relay)
        new.sendall(b"three")
        assert far_new.recv(10) == b"three"
        far.settimeout(0.3)
        with pytest.raises(TimeoutError):
            far.recv(10)
        relay.hang_up()
        assert new.recv(10) == b""


def connected(server, relay):
    near = socket.create_connection(("127.0.0.1", relay.port), timeout=10)
    far, _ = server.accept()
    far.settimeout(10)
    return near, far


class Stuck:
    """An arena in which nothing ends."""

    def settled(self, sent, *, seconds):
        return Judged(Tally(executions=1))


@pytest.mark.parametrize(("left", "cut"), [(1.0, True), (1000.0, False)])
def test_what_the_end_of_the_run_cuts_off_is_told_from_what_is_lost(left, cut):
    trial = Trial(Stuck(), 1, deadline=time.monotonic() + left)

    trial.settle(seconds=30.0)

    assert trial.cut is cut


@pytest.mark.parametrize(
    ("arguments", "expected"), [(["--only", "R99"], "R99"), (["--only", "R24", "--mode", KEYED], AS_REAL)]
)
def test_nothing_to_run_is_said(capsys, arguments, expected):
    assert main(arguments) == 2
    said = capsys.readouterr().out
    assert "nothing to run" in said
    assert expected in said
