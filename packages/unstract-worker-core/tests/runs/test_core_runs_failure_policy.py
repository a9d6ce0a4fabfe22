"""The failure policy: its table is in the module's docstring, and the code does what the table says."""

import inspect
import re

import pytest

from unstract_worker_core.errors import (
    BackendRefused,
    BackendUnavailable,
    LedgerError,
    LedgerUnavailable,
    MessageError,
    OutcomeUnknown,
    SteppedAside,
)
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.runs import failure_policy as policy
from unstract_worker_core.runs.failure_policy import (
    ErrorKind,
    Place,
    Reaction,
    RetryDelays,
    get_optional,
    kind_of,
    reaction_to,
    reason_of,
    release_after,
)
from unstract_worker_core.runs.run_handler import Job, handle_run
from unstract_worker_core.runs.session import Close
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.testing import RecordingDoorbells, errors_of_each_kind, running_runtime, settings_for

DELAYS = RetryDelays(unavailable=10, unknown=30, failed=5, key_refused=30, longest=300)


def backend(error, status=None):
    return error("no", endpoint="a.b", status=status)


CASES = errors_of_each_kind()


def table():
    """The docstring's table: reaction by kind and place."""
    lines = inspect.getdoc(policy).splitlines()
    first, second, last = (at for at, line in enumerate(lines) if re.fullmatch(r"[= ]+", line))
    columns = [match.span() for match in re.finditer(r"=+", lines[first])]

    def cells(line):
        return [line[start : max(end, len(line)) if end == columns[-1][1] else end].strip() for start, end in columns]

    _, *places = cells(lines[second - 1])
    rows = (cells(line) for line in lines[second + 1 : last])
    return {
        ErrorKind(kind): dict(zip(map(Place, places), map(Reaction, reactions), strict=True))
        for kind, *reactions in rows
    }


def test_the_table_has_every_error_and_every_place():
    assert list(table()) == list(ErrorKind) == list(dict(CASES))
    assert all(list(row) == list(Place) for row in table().values())


@pytest.mark.parametrize(("kind", "error"), CASES)
def test_the_code_does_what_the_table_says(kind, error):
    assert kind_of(error) is kind
    assert {place: reaction_to(error, place) for place in Place} == table()[kind]


@pytest.fixture
def runtime(redis_server, redis):
    settings = settings_for(WorkerType.GENERAL, redis_url=redis_server.url)
    with running_runtime(settings, doorbells=RecordingDoorbells()) as runtime:
        yield runtime


@pytest.mark.parametrize(("kind", "error"), CASES)
def test_a_run_that_meets_an_error_at_its_start_goes_where_the_table_says(runtime, redis, kind, error):
    runtime.ledger.runs.accept("run", task=RunTask.EXECUTION, kind=RunKind.ETL, organization_id="org_1", start="{}")
    given_up = []

    def step(session):
        raise error

    def give_up(session, reason):
        given_up.append(reason)
        return Close()

    jobs = {RunTask.EXECUTION: Job(step, give_up)}
    reaction = table()[kind][Place.START]
    if reaction is Reaction.END:
        assert handle_run(runtime, "run", jobs)
        assert runtime.ledger.runs.state("run") is RunState.DONE
        assert given_up == [reason_of(error)]
        return

    with pytest.raises(type(error)):
        handle_run(runtime, "run", jobs)

    meta = redis.hgetall("uw:{run}:meta")
    assert (meta["state"], given_up) == ("ACCEPTED", [])
    assert meta["attempts"] == ("1" if reaction is Reaction.CHARGE else "0")
    assert (meta["owner"] == "") is (reaction is not Reaction.LEAVE)
    if reaction is not Reaction.LEAVE:
        assert meta["last_error"] == reason_of(error)


@pytest.mark.parametrize(
    ("error", "attempts", "delay", "charge"),
    [
        (SteppedAside("the process drains", delay_seconds=3), 4, 3, False),
        (backend(BackendUnavailable), 4, 10, False),
        (backend(BackendUnavailable, 503), 0, 10, False),
        (backend(BackendUnavailable, 500), 0, 5, True),
        (backend(BackendUnavailable, 500), 3, 40, True),
        (backend(OutcomeUnknown), 0, 30, False),
        (backend(OutcomeUnknown, 504), 0, 30, False),
        (backend(OutcomeUnknown, 500), 0, 30, True),
        (backend(OutcomeUnknown, 500), 4, 80, True),
        (LedgerUnavailable("away"), 0, 10, False),
        (LedgerError("not armed"), 1, 10, True),
        (RuntimeError("x"), 20, 300, True),
    ],
)
def test_how_long_work_is_put_off(error, attempts, delay, charge):
    release = release_after(error, Place.START, attempts=attempts, delays=DELAYS)
    assert (release.delay_seconds, release.charge) == (delay, charge)


def test_an_open_breaker_is_waited_for():
    release = release_after(backend(BackendUnavailable), Place.START, attempts=0, delays=DELAYS, breaker_seconds=55)
    assert release.delay_seconds == 55


def test_a_fleet_does_not_ask_all_at_once_whether_the_key_is_accepted_again():
    delays = {
        release_after(backend(BackendRefused, 401), place, attempts=9, delays=DELAYS).delay_seconds
        for place in Place
        for _ in range(5)
    }
    assert len(delays) > 20
    assert all(30 <= delay <= 60 for delay in delays)


def test_reasons_are_one_short_line_and_never_a_foreign_errors_text():
    assert reason_of(MessageError("a\nb\x00  c", field="x")) == "x: a b c"
    assert reason_of(ValueError("with a secret inside")) == "unexpected ValueError"
    long = reason_of(MessageError("y" * 500))
    assert len(long) == 256
    assert long.endswith("...")


@pytest.mark.parametrize(("kind", "error"), CASES)
def test_an_optional_answer_is_waited_for_as_the_table_says(kind, error):
    def ask():
        raise error

    assert get_optional(lambda: 5, 1, what="a number") == 5
    if table()[kind][Place.OPTIONAL] is Reaction.GO_ON:
        assert get_optional(ask, 1, what="a number") == 1
    else:
        with pytest.raises(type(error)):
            get_optional(ask, 1, what="a number")
