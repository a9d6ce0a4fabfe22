from itertools import count

from attrs import asdict

from unstract_devstack.faults.checker import HARNESS, Announcement, Sent, announcements, judge
from unstract_devstack.platform_client import Effect, ExecutionRow
from unstract_devstack.sink import Delivery

RUN = "e1"
NUMBERS = count(1)


def applied(operation, *, key=None, file=None, **detail):
    number = next(NUMBERS)
    return Effect(number, float(number), operation, RUN, file, key, detail)


def worked(name):
    return applied("files.execute", name=name)


def wrote(status, **more):
    return applied("executions.update_status", status=status, **more)


def reported(notification="n1"):
    return applied("notifications.enqueue", status="COMPLETED", notification_id=notification)


def shown(status="COMPLETED", successful=2):
    return ExecutionRow(RUN, "api", status, 2, successful, 2 - successful, "")


def verdict(effects, row=None, arrived=(), *, keyed=True, **expected):
    sent = Sent(RUN, "org", frozenset({"a", "b"}), **expected)
    return judge([sent], {RUN: effects}, {RUN: row or shown()}, {RUN: list(arrived)}, keyed=keyed)


def wrong(judged):
    counted = asdict(judged.tally)
    return {
        name: number for name, number in counted.items() if number and name not in ("executions", "terminal", "files")
    }


def test_each_file_once_and_one_end_is_nothing_wrong():
    judged = verdict([wrote("EXECUTING"), worked("a"), worked("b"), wrote("COMPLETED")])

    assert wrong(judged) == {}
    assert not judged.problems
    assert (judged.tally.executions, judged.tally.terminal, judged.tally.files) == (1, 1, 2)


def test_a_file_that_was_never_worked_on_is_lost():
    assert wrong(verdict([worked("a"), wrote("COMPLETED")], shown(successful=1))) == {"effects_lost": 1}


def test_a_result_that_was_not_counted_is_lost():
    assert wrong(verdict([worked("a"), worked("b"), wrote("COMPLETED")], shown(successful=1))) == {"effects_lost": 1}


def test_a_file_worked_on_twice_is_doubled():
    effects = [worked("a"), worked("a"), worked("b"), wrote("COMPLETED")]

    keyed, unkeyed = verdict(effects), verdict(effects, keyed=False)

    assert wrong(keyed) == {"effects_doubled": 1}
    assert keyed.problems
    assert wrong(unkeyed) == {"effects_doubled_unkeyed": 1}
    assert not unkeyed.problems


def test_an_execution_that_never_ends_is_lost():
    judged = verdict([wrote("EXECUTING"), worked("a"), worked("b")], shown("EXECUTING"))

    assert wrong(judged) == {"callbacks_lost": 1}
    assert judged.tally.terminal == 0


def test_an_end_that_is_not_the_right_one_is_lost():
    effects = [worked("a"), worked("b"), wrote("ERROR")]

    assert wrong(verdict(effects, shown("ERROR"))) == {"callbacks_lost": 1}


def test_two_ends_are_doubled():
    effects = [worked("a"), worked("b"), wrote("COMPLETED"), wrote("COMPLETED")]

    assert wrong(verdict(effects)) == {"callbacks_doubled": 1}


def test_a_status_after_the_end_is_a_regression():
    effects = [worked("a"), worked("b"), wrote("COMPLETED"), wrote("EXECUTING"), wrote("COMPLETED")]

    assert wrong(verdict(effects))["status_regressions"] == 1


def test_a_terminal_status_over_another_is_a_regression():
    effects = [worked("a"), worked("b"), wrote("COMPLETED"), wrote("ERROR")]

    assert wrong(verdict(effects, shown("ERROR"), status=None))["status_regressions"] >= 1


def test_correcting_a_stale_write_of_the_harness_is_allowed():
    stale = wrote("EXECUTING", key=f"{HARNESS}1")

    assert wrong(verdict([worked("a"), worked("b"), wrote("COMPLETED"), stale, wrote("COMPLETED")])) == {}


def test_a_stale_write_that_stays_is_a_regression():
    effects = [worked("a"), worked("b"), wrote("COMPLETED"), wrote("EXECUTING", key=f"{HARNESS}1")]

    assert "callbacks_lost" in wrong(verdict(effects, shown("EXECUTING")))


def test_a_write_over_a_stop_is_a_regression():
    effects = [applied("user.stop"), wrote("COMPLETED")]

    judged = verdict(effects, shown("COMPLETED"), stopped=True, status="STOPPED")

    assert wrong(judged)["status_regressions"] >= 1


def test_a_stopped_execution_may_leave_files():
    assert (
        wrong(verdict([worked("a"), applied("user.stop")], shown("STOPPED", 1), stopped=True, status="STOPPED")) == {}
    )


def test_a_subscriber_who_was_not_told_is_lost():
    done = [worked("a"), worked("b"), wrote("COMPLETED")]

    assert wrong(verdict(done, subscribers=1)) == {"notifications_lost": 1}
    assert wrong(verdict([*done, reported()], subscribers=2)) == {"notifications_lost": 1}


def test_a_notification_that_did_not_arrive_is_lost():
    effects = [worked("a"), worked("b"), wrote("COMPLETED"), reported(), applied("notifications.dispatch")]

    assert wrong(verdict(effects, subscribers=1)) == {"notifications_lost": 1}
    assert wrong(verdict(effects, arrived=[Announcement("/hook", "id1")], subscribers=1)) == {}


def test_a_subscriber_who_was_told_twice_is_counted():
    effects = [worked("a"), worked("b"), wrote("COMPLETED"), reported(), reported(), applied("notifications.dispatch")]
    arrived = [Announcement("/hook", "id1"), Announcement("/hook", "id2")]

    assert wrong(verdict(effects, arrived=arrived, subscribers=1)) == {"notifications_doubled": 1}


def test_a_repeat_under_the_same_id_counts_only_where_keys_are_ignored():
    effects = [worked("a"), worked("b"), wrote("COMPLETED"), reported(), applied("notifications.dispatch")]
    arrived = [Announcement("/hook", "id1"), Announcement("/hook", "id1")]

    assert wrong(verdict(effects, arrived=arrived, subscribers=1)) == {}
    assert wrong(verdict(effects, arrived=arrived, subscribers=1, keyed=False)) == {"notifications_doubled": 1}


def test_deliveries_are_read_by_execution():
    body = (
        b'{"events": [{"execution_id": "e1", "status": "COMPLETED"}, {"execution_id": "e2", "status": "INPROGRESS"}]}'
    )

    found = announcements([Delivery("POST", "/hook", {"webhook-id": "w"}, body, 0.0)])

    assert found == {"e1": [Announcement("/hook", "w")]}
