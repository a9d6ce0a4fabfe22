"""Every crash point has a way to it, and the verdict on a trial sees what it should."""

import pytest
from attrs import evolve

from unstract_devstack.crash_points.__main__ import chosen, main, points
from unstract_devstack.crash_points.places import PLACES, UnknownPoint, trials
from unstract_devstack.crash_points.scenarios import SCENARIOS, Expected
from unstract_devstack.crash_points.verdict import Seen, problems
from unstract_devstack.faults.checker import AS_REAL, KEYED
from unstract_devstack.platform_client import Effect, ExecutionRow, Platform
from unstract_devstack.sink import Delivery

EXPECTED = Expected(Platform("http://127.0.0.1:1", "key", "org_1"), ("a.txt", "b.txt"))
ROW = ExecutionRow("e1", "api", "COMPLETED", 2, 2, 0, "")


def applied(number, operation, **detail):
    return Effect(number, float(number), operation, "e1", None, f"key-{number}", detail)


def history():
    """What one execution of two files leaves behind when no process dies."""
    return (
        applied(1, "files.create"),
        applied(2, "files.create"),
        applied(3, "executions.update_status", status="EXECUTING"),
        applied(4, "files.execute", name="a.txt", status="success"),
        applied(5, "files.execute", name="b.txt", status="success"),
        applied(6, "executions.update_status", status="COMPLETED"),
        applied(7, "notifications.enqueue", status="COMPLETED", notification_id="n1"),
        applied(8, "notifications.dispatch", status="COMPLETED"),
    )


def delivery(webhook_id="w1"):
    body = b'{"events": [{"execution_id": "e1", "status": "COMPLETED"}]}'
    return Delivery("POST", "/hooks/org_1", {"webhook-id": webhook_id}, body, 9.0)


USUAL = Seen(history(), {"e1": ROW}, (delivery(),))


def wrong(seen, mode=KEYED):
    return list(problems(seen, EXPECTED, mode, USUAL))


def repeated(number):
    """The usual history with one effect applied again."""
    return evolve(USUAL, effects=(*history(), evolve(history()[number - 1], id=20)))


def without(number):
    return evolve(USUAL, effects=tuple(each for each in history() if each.id != number))


def test_every_point_of_the_workers_has_a_trial():
    listed = points()
    assert {trial.point for trial in chosen(())} == set(listed)
    stems = {name.rpartition(".")[0] for name in listed}
    assert set(PLACES) <= set(listed) | stems, "places without a point"
    assert {place.scenario for places in PLACES.values() for place in places} == set(SCENARIOS)


def test_a_point_without_a_way_to_it_is_refused():
    with pytest.raises(UnknownPoint, match="no scenario is known"):
        list(trials(["ledger.new_step.before"]))


def test_effects_are_tried_on_a_backend_that_ignores_keys_too():
    modes = {trial.mode for trial in trials(["backend.execute-file.after"])}
    assert modes == {KEYED, AS_REAL}


def test_the_command_lists_its_trials(capsys):
    assert main(["--list", "--only", "ledger.arm.after"]) == 0
    assert "ledger.arm.after in api-deployment, api, keyed, group" in capsys.readouterr().out.splitlines()


def test_nothing_is_wrong_with_what_is_usual():
    assert wrong(USUAL) == []
    assert wrong(USUAL, AS_REAL) == []


@pytest.mark.parametrize("number", range(1, len(history()) + 1))
def test_an_effect_that_is_missing_is_seen_in_both_modes(number):
    assert wrong(without(number))
    assert wrong(without(number), AS_REAL)


@pytest.mark.parametrize("number", range(1, len(history()) + 1))
def test_an_effect_that_happens_twice_is_seen_where_keys_count(number):
    assert wrong(repeated(number))


def test_without_keys_a_file_may_be_worked_on_again_and_no_row_be_doubled():
    assert wrong(repeated(4), AS_REAL) == []
    assert wrong(repeated(1), AS_REAL)


def test_an_execution_that_is_not_over_or_lost_a_file_is_seen():
    assert wrong(evolve(USUAL, executions={"e1": evolve(ROW, status="EXECUTING")}))
    assert wrong(evolve(USUAL, executions={"e1": evolve(ROW, status="ERROR")}))
    assert wrong(evolve(USUAL, executions={"e1": evolve(ROW, successful=1)}))
    assert wrong(evolve(USUAL, executions={"e1": ROW, "e2": evolve(ROW, id="e2")}))


def row(number, file, status):
    return evolve(applied(number, "files.update_status", status=status), file=file)


def test_rows_may_be_written_again_and_must_show_their_end():
    usual = evolve(USUAL, effects=(*history(), row(21, "a", "EXECUTING"), row(22, "a", "COMPLETED")))
    again = evolve(usual, effects=(*usual.effects, row(23, "a", "EXECUTING"), row(24, "a", "COMPLETED")))
    assert list(problems(again, EXPECTED, KEYED, usual)) == []
    left = evolve(usual, effects=(*usual.effects, row(23, "a", "EXECUTING")))
    assert list(problems(left, EXPECTED, KEYED, usual))


def test_deliveries_may_repeat_once_under_their_id_and_under_no_other():
    assert wrong(evolve(USUAL, deliveries=(delivery(), delivery()))) == []
    assert wrong(evolve(USUAL, deliveries=(delivery(), delivery("w2"))))
    assert wrong(evolve(USUAL, deliveries=(delivery(),) * 3))
    assert wrong(evolve(USUAL, deliveries=()))


def test_a_name_that_fits_no_point_is_refused(capsys):
    assert main(["--list", "--only", "ledger.accept", "--only", "ledger.acept"]) == 1
    assert "no crash point begins with 'ledger.acept'" in capsys.readouterr().err
