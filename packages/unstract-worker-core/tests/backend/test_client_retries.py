"""How often a call is made: exactly as configured, and only where that is safe."""

import math

import pytest
from attrs import evolve

from unstract_worker_core.backend import operations
from unstract_worker_core.backend.call import LONGEST_WAIT_SECONDS, RetryState
from unstract_worker_core.backend.executions import StatusUpdate, TokenUsage
from unstract_worker_core.backend.files import FileHash, FileStatusUpdate
from unstract_worker_core.backend.history import NewHistory
from unstract_worker_core.backend.operations import Operation, Repeat
from unstract_worker_core.backend.responses import TransientError, retry_after
from unstract_worker_core.errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    NotFound,
    OutcomeUnknown,
)
from unstract_worker_core.statuses import ExecutionStatus, PipelineStatus

ORG = "org_alpha"
ID = "00000000-0000-0000-0000-000000000802"
WORKFLOW = "00000000-0000-0000-0000-000000000102"
USAGE = {"success": True, "data": {"usage": {"total_tokens": 3}}}
FILE = FileHash(file_name="a.txt", file_path="/in/a.txt")
HISTORY = NewHistory(
    workflow_id=WORKFLOW, file_hash="ab", file_name="a.txt", status=ExecutionStatus.COMPLETED, result="{}"
)


def read(backend):
    return backend.usage.tokens(ORG, ID)


def safe_effect(backend):
    return backend.files.update_status(ORG, ID, FileStatusUpdate(status=ExecutionStatus.COMPLETED), key="k")


def status_effect(backend):
    return backend.executions.update_status(ORG, ID, StatusUpdate(status=ExecutionStatus.COMPLETED), key="k")


def counted_effect(backend):
    return backend.history.create(ORG, HISTORY, key="k")


@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504, 507, 522, 599])
def test_read_is_tried_as_often_as_configured(server, backend_with, status):
    server.answer(server.status(status))
    for attempts in (0, 1, 3):
        server.received.clear()
        with pytest.raises(BackendUnavailable) as failure:
            read(backend_with(retry_attempts=attempts))
        assert len(server.received) == attempts + 1
        assert failure.value.status == status
        assert failure.value.retryable


def test_read_gives_the_answer_that_comes_at_last(server, backend):
    server.answer(server.status(503), server.cut(), server.truncated(), server.sends(USAGE))
    assert read(backend) == TokenUsage(total_tokens=3)
    assert len(server.received) == 4


def test_all_tries_share_the_request_id_and_the_key(server, backend):
    server.answer(server.status(503), server.status(503), server.sends({"status": "updated"}))
    assert status_effect(backend) is None
    assert len({sent.headers["x-request-id"] for sent in server.received}) == 1
    assert {sent.headers["idempotency-key"] for sent in server.received} == {"k"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 406, 409, 410, 413, 422, 501, 505])
def test_a_definite_no_is_not_repeated(server, backend, status):
    server.answer(server.status(status))
    with pytest.raises(BackendRefused) as failure:
        read(backend)
    assert len(server.received) == 1
    assert failure.value.status == status
    assert not failure.value.retryable
    assert isinstance(failure.value, NotFound) is (status == 404)


@pytest.mark.parametrize(
    ("call", "body", "expected"),
    [
        (status_effect, {"error": "x", "detail": "No WorkflowExecution matches the given query."}, NotFound),
        (lambda b: b.executions.get(ORG, ID), {"error": "Failed to retrieve workflow execution"}, BackendRefused),
        (
            lambda b: b.pipelines.update(ORG, ID, PipelineStatus.SUCCESS),
            {"status": "error", "message": "Failed to update pipeline: Pipeline 'off' is inactive, please activate"},
            BackendRefused,
        ),
        (
            lambda b: b.files.create(ORG, ID, WORKFLOW, FILE),
            {"error": "e", "detail": "get() returned more than one WorkflowFileExecution -- it returned 2!"},
            BackendRefused,
        ),
        (
            lambda b: b.workflows.source_files(ORG, WORKFLOW, ID),
            {"error": "e", "detail": "WorkflowEndpoint matching query does not exist."},
            BackendRefused,
        ),
        (
            lambda b: b.workflows.source_files(ORG, WORKFLOW, ID),
            {"error": "Failed to get source files", "detail": "Source folder 'gone' is not a valid directory"},
            BackendRefused,
        ),
        (
            lambda b: b.notifications.for_api(ORG, ID),
            {"status": "error", "message": "Internal server error"},
            BackendRefused,
        ),
    ],
)
def test_permanent_500_is_not_repeated(server, backend, call, body, expected):
    server.answer(server.sends(body, 500))
    with pytest.raises(expected) as failure:
        call(backend)
    assert len(server.received) == 1
    assert failure.value.status == 500


@pytest.mark.parametrize(
    ("call", "tries", "expected"),
    [(read, 4, BackendUnavailable), (safe_effect, 4, OutcomeUnknown), (counted_effect, 1, OutcomeUnknown)],
)
@pytest.mark.parametrize("failing", ["500", "500 html", "502", "504", "cut", "truncated"])
def test_failure_that_may_come_after_the_effect(server, backend, call, tries, expected, failing):
    server.answer(
        {
            "500": server.sends({"error": "Internal trouble"}, 500),
            "500 html": server.html(500),
            "502": server.html(502),
            "504": server.html(504),
            "cut": server.cut(),
            "truncated": server.truncated(),
        }[failing]
    )
    with pytest.raises(BackendError) as failure:
        call(backend)
    assert type(failure.value) is expected
    assert len(server.received) == tries


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_effect_that_was_turned_away_is_repeated_even_if_it_counts(server, backend, status):
    server.answer(server.status(status), server.sends({"file_history": {"id": "h1", "status": "COMPLETED"}}, 201))
    assert counted_effect(backend) == "h1"
    assert len(server.received) == 2


def test_doubt_of_an_early_try_outlives_later_refusals(server, backend):
    server.answer(server.cut(), server.status(503))
    with pytest.raises(OutcomeUnknown):
        safe_effect(backend)
    assert len(server.received) == 4


def test_no_connection_leaves_nothing_in_doubt(backend_with, free_port):
    backend = backend_with(base_url=f"http://127.0.0.1:{free_port}/internal")
    for call in (read, safe_effect, counted_effect):
        with pytest.raises(BackendError) as failure:
            call(backend)
        assert type(failure.value) is BackendUnavailable
        assert failure.value.status is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("999999999", 999999999.0),
        ("9" * 400, math.inf),
        ("-1", None),
        ("inf", None),
        ("1e9", None),
        ("soon", None),
        ("٣", None),
        ("0", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 -0000", None),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 99999999999:28:00 GMT", None),
    ],
)
def test_retry_after_is_read(header, seconds):
    assert retry_after(header) == seconds


def state_of(settings, clock, repeat=Repeat.READ, seconds=60.0):
    return RetryState(Operation("op", "GET", "x/", repeat), settings, seconds, clock)


def test_retry_after_is_obeyed_and_capped(settings, clock):
    assert 7.0 <= state_of(settings, clock).next_delay(passing(wait=7.0)) <= 7.0 + settings.retry_backoff
    capped = state_of(settings, clock).next_delay(passing(wait=86400.0))
    assert LONGEST_WAIT_SECONDS <= capped <= LONGEST_WAIT_SECONDS + settings.retry_backoff


def passing(wait=None):
    return TransientError("busy", applied=False, away=False, status=429, wait=wait)


def test_pauses_grow_and_differ(settings, clock):
    tries = state_of(settings, clock)
    grown = [tries.next_delay(passing()) for _ in range(4)]
    fresh = [state_of(settings, clock).next_delay(passing()) for _ in range(20)]
    assert all(grown[n] >= settings.retry_backoff * 2**n for n in range(4))
    assert len(set(fresh)) > 1


def test_no_pause_beyond_the_budget(settings, clock):
    tries = state_of(settings, clock, seconds=5.0)
    assert tries.next_delay(passing(wait=1.0)) is not False
    clock.now += 4.5
    assert tries.next_delay(passing(wait=1.0)) is False


def test_budget_covers_all_tries(server, backend_with, clock):
    backend = backend_with(clock=clock, total_timeout=60.0, retry_attempts=10)

    def slow(handler):
        clock.now += 25.0
        server.status(503)(handler)

    server.answer(slow)
    with pytest.raises(BackendUnavailable):
        read(backend)
    assert len(server.received) == 3


def test_other_exceptions_are_no_reason_to_try_again(settings, clock):
    assert state_of(settings, clock).next_delay(ValueError("no")) is False


def test_every_effect_says_how_it_may_be_repeated():
    table = {value.name: value for value in vars(operations).values() if isinstance(value, Operation)}
    counted = {name for name, operation in table.items() if operation.repeat is Repeat.LOOK_FIRST}
    assert counted == {
        "execution.create",
        "workflow-execution.update_status",
        "file-execution.create",
        "file-execution.batch_create",
        "file-history.create",
    }
    assert [name for name, operation in table.items() if operation.repeat is Repeat.ONCE] == ["execute-file"]
    assert {name for name, operation in table.items() if not operation.organization} == {
        "health",
        "webhook.mark_dispatched",
        "webhook.mark_dead_letter",
    }
    assert {name for name, operation in table.items() if not operation.path.endswith(("/", "_prefix}"))} == {
        "file-execution.check_active"
    }


def limits(state):
    return state.limits(lambda seconds: None)


def test_an_attempt_gets_its_limit_or_what_is_left(settings, clock):
    state = state_of(settings, clock, seconds=10.0)
    assert limits(state).seconds == settings.timeout
    clock.now += 8
    assert limits(state).seconds == 2.0
    clock.now += 8
    assert limits(state).seconds == 0.0
    assert limits(state_of(settings, clock, Repeat.ONCE, seconds=3600.0)).seconds == 3600.0


def test_silence_is_waited_for_longer_at_each_attempt_where_that_does_no_harm(settings, clock):
    settings = evolve(settings, timeout=30.0)
    state = state_of(settings, clock, seconds=100.0)
    waited = [limits(state).silence]
    for _ in range(2):
        state.next_delay(TransientError("", applied=True, away=True, silent=True))
        waited.append(limits(state).silence)
    assert waited == [5.0, 10.0, 20.0]
    state.trial = True
    assert limits(state).silence == 15.0
    for repeat in (Repeat.ONCE, Repeat.LOOK_FIRST):
        assert limits(state_of(settings, clock, repeat)).silence is None
    assert limits(RetryState(operations.SOURCE_FILES, settings, 60.0, clock)).silence is None


def test_what_may_not_be_repeated_asks_for_a_fresh_connection(settings, clock):
    fresh = {repeat: limits(state_of(settings, clock, repeat)).fresh for repeat in Repeat}
    assert fresh == {Repeat.READ: False, Repeat.SAFE: False, Repeat.LOOK_FIRST: True, Repeat.ONCE: True}


def test_a_stale_connection_is_replaced_without_a_pause(settings, clock):
    stale = TransientError("", applied=True, away=True, stale=True)
    assert state_of(settings, clock).next_delay(stale) == 0.0
    assert state_of(settings, clock, Repeat.SAFE).next_delay(stale) == 0.0
