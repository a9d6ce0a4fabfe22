from itertools import product

import pytest

from unstract_worker_callback.final_status import Totals, count, count_results, final_state, totals_before
from unstract_worker_core.ledger import FileOutcome, OutcomeKind, RunContext
from unstract_worker_core.messages.batch import BatchResult
from unstract_worker_core.statuses import ExecutionStatus, RunKind

KINDS = (OutcomeKind.COMPLETED, OutcomeKind.ERROR, OutcomeKind.SKIPPED)


def context(**changes):
    return RunContext("e", "org", "w", RunKind.API, **changes)


def outcome(number, kind, copies=()):
    error = None if kind is OutcomeKind.COMPLETED else f"reason {number}"
    return FileOutcome(number, f"f{number}", kind, error=error, copies=copies)


@pytest.mark.parametrize("kinds", [kinds for n in range(5) for kinds in product(KINDS, repeat=n)])
def test_counts_add_up_in_every_order(kinds):
    totals = count(outcome(number, kind) for number, kind in enumerate(kinds, start=1))

    assert totals.total == len(kinds) == totals.successful + totals.failed + totals.skipped
    assert totals.failed == kinds.count(OutcomeKind.ERROR)


def test_copies_count_like_the_upload_they_equal():
    totals = count([outcome(1, OutcomeKind.COMPLETED, ("b", "c")), outcome(2, OutcomeKind.ERROR, ("e",))])

    assert totals == Totals(total=5, successful=3, failed=2, reason="reason 2")


@pytest.mark.parametrize(
    ("totals", "expected", "status"),
    [
        (Totals(2, 2, 0), 2, ExecutionStatus.COMPLETED),
        (Totals(2, 1, 1), 2, ExecutionStatus.COMPLETED),
        (Totals(2, 0, 2, reason="corrupt"), 2, ExecutionStatus.ERROR),
        (Totals(), 0, ExecutionStatus.COMPLETED),
        (Totals(), 3, ExecutionStatus.ERROR),
        (Totals(2, 2, 0), 3, ExecutionStatus.ERROR),
    ],
)
def test_status(totals, expected, status):
    final = final_state(totals, context(), expected=expected, stopped=False)

    assert final.status is status
    assert final.successful_files + final.failed_files <= final.total_files
    assert (final.error is not None) is (status is ExecutionStatus.ERROR)


def test_all_failed_names_the_first_reason():
    final = final_state(Totals(2, 0, 2, reason="file is corrupt"), context(), expected=2, stopped=False)

    assert final.error == "all 2 files failed; first: file is corrupt"


def test_a_stop_wins_over_success_and_over_an_error():
    for changed in (context(), context(error="listing failed"), context(stopped=True)):
        final = final_state(Totals(2, 2, 0), changed, expected=2, stopped=True)
        assert final.status is ExecutionStatus.STOPPED


def test_an_orchestration_error_is_the_final_error():
    final = final_state(Totals(), context(error="listing failed"), expected=0, stopped=False)

    assert (final.status, final.error) == (ExecutionStatus.ERROR, "listing failed")


def test_results_of_a_chord_are_summed_and_a_missing_total_is_the_sum_of_its_parts():
    results = [
        BatchResult(total_files=2, successful_files=1, failed_files=1),
        BatchResult(successful_files=2, skipped_already_completed=1),
    ]

    assert count_results(results) == Totals(total=5, successful=3, failed=1, skipped=1)


def test_files_that_ended_before_the_ledger_lost_the_run_count():
    started_again = context(total_files=5, completed_before=2, failed_before=1)
    before = totals_before(started_again)

    totals = count([outcome(1, OutcomeKind.COMPLETED), outcome(2, OutcomeKind.ERROR)], before=before)

    assert (totals.total, totals.successful, totals.failed) == (5, 3, 2)
    assert final_state(totals, started_again, expected=5, stopped=False).status is ExecutionStatus.COMPLETED
    assert final_state(before, started_again, expected=5, stopped=False).status is ExecutionStatus.ERROR
