"""Operators' commands on a real Redis: which ids name something, several ids at once, Redis that does not answer."""

import os
import socket

import pytest
import stamina
from click.testing import CliRunner

from unstract_devstack.ports import free_port
from unstract_worker_core import redis as core_redis
from unstract_worker_core.ledger import DeadLetter, Ledger, RunState, RunTask
from unstract_worker_core.ledger.operator import Operator
from unstract_worker_core.operator.dead_letters_command import dead_letters
from unstract_worker_core.operator.fleet_command import fleet
from unstract_worker_core.operator.runs_command import runs
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.testing import environment_for, settings_for
from unstract_worker_core.worker.definition import WorkerDefinition

TINY = WorkerDefinition(WorkerType.CALLBACK, "tiny", lambda app, runtime: None)
OPEN, ENDED, OTHER = "aaaa-open", "bbbb-ended", "cccc-open"


@pytest.fixture
def ledger(redis, redis_url):
    return Ledger(redis, settings_for(WorkerType.CALLBACK, redis_url=redis_url).ledger)


@pytest.fixture
def operate(redis_url):
    """Runs a command as an operator types it, without a terminal."""

    def run(command, *arguments, **variables):
        environment = environment_for(redis_url=redis_url, **variables)
        program = "unstract-worker-callback"
        return CliRunner().invoke(
            command(TINY), arguments, env=dict.fromkeys(os.environ) | environment, prog_name=program
        )

    return run


@pytest.fixture
def three_runs(ledger, redis):
    for run_id in (OPEN, ENDED, OTHER):
        ledger.runs.accept(run_id, task=RunTask.EXECUTION, kind=RunKind.ETL, organization_id="org_1", start="{}")
    redis.hset(f"uw:{{{ENDED}}}:meta", "state", RunState.DONE.value)


@pytest.mark.parametrize(
    ("command", "arguments", "listed_by"),
    [
        (runs, ("show", "aaa"), "runs"),
        (runs, ("retry", "", "--yes"), "runs"),
        (runs, ("abort", "a", "--yes"), "runs"),
        (dead_letters, ("show", "abc"), "dead-letters list"),
        (dead_letters, ("requeue", "abc", "--yes"), "dead-letters list"),
    ],
)
def test_a_beginning_that_is_too_short_is_refused_with_the_command_that_lists_ids(
    command, arguments, listed_by, operate, three_runs
):
    done = operate(command, *arguments)
    assert done.exit_code == 1
    assert f"Error: '{arguments[1]}' is too short: give at least 4 characters of an id." in done.stderr
    assert f"The ids are listed by: unstract-worker-callback {listed_by}\n" in done.stderr


def test_four_characters_name_a_run_and_a_letter(operate, ledger, three_runs):
    assert OPEN in operate(runs, "show", "aaaa").stdout
    ledger.dead_letters.add(DeadLetter("a.task", "a_queue", "no"))
    (kept,) = ledger.dead_letters.stored()
    assert kept.id in operate(dead_letters, "show", kept.id[:4]).stdout


def test_one_run_that_has_ended_does_not_keep_the_others_from_an_abort(operate, redis, three_runs):
    done = operate(runs, "abort", OPEN, ENDED, OTHER, "--yes")
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [f"run {OPEN}", f"run {OTHER}"]
    assert f"Error: run {ENDED} cannot be aborted: it has ended\n" in done.stderr
    assert done.stderr.endswith("Error: 2 of 3 done\n")
    assert done.exit_code == 4
    assert [view.stop for view in map(Operator(redis).view, (OPEN, OTHER)) if view] == [True, True]


def test_different_reasons_end_with_code_1_and_one_id_with_its_own(operate, redis, three_runs):
    redis.hset(f"uw:{{{OTHER}}}:meta", "task", RunTask.CHORD_BATCH.value)
    assert operate(runs, "retry", ENDED, OTHER, "--yes").exit_code == 1
    alone = operate(runs, "retry", ENDED, "--yes")
    assert (alone.exit_code, alone.stdout) == (4, "")
    assert alone.stderr == f"Error: run {ENDED} cannot be retried: it has ended\n"


def test_one_id_that_names_nothing_keeps_all_from_being_done(operate, redis, three_runs):
    done = operate(runs, "abort", OPEN, "unknown-run", "--yes")
    assert (done.exit_code, done.stdout) == (3, "")
    assert "the ledger knows no run unknown-run" in done.stderr
    assert done.stderr.endswith(" The others were left unchanged too.\n")
    assert Operator(redis).view(OPEN).stop is False


def test_a_letter_that_cannot_be_sent_does_not_keep_the_others(operate, ledger, redis, redis_url):
    for number, body in enumerate(("no json", "[[], {}, {}]")):
        ledger.dead_letters.add(DeadLetter("a.task", "a_queue", "no", task_id=str(number), body=body))
    sent, broken = (kept.id for kept in ledger.dead_letters.stored())
    done = operate(dead_letters, "requeue", broken, sent, "--yes", CELERY_BROKER_BASE_URL=redis_url)
    assert done.stdout == f"dead letter {sent}: a.task was sent to a_queue\n"
    assert f"letter {broken} cannot be sent again" in done.stderr
    assert done.exit_code == 1
    assert redis.llen("a_queue") == 1


def test_a_letter_that_is_named_twice_is_sent_once(operate, ledger, redis, redis_url):
    ledger.dead_letters.add(DeadLetter("a.task", "a_queue", "no", body="[[], {}, {}]"))
    (kept,) = ledger.dead_letters.stored()
    done = operate(dead_letters, "requeue", kept.id, kept.id[:6], "--yes", CELERY_BROKER_BASE_URL=redis_url)
    assert (done.exit_code, redis.llen("a_queue")) == (0, 1)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(fleet, ()), (fleet, ("--watch",)), (runs, ()), (runs, ("show", "aaaa")), (dead_letters, ("list",))],
)
def test_redis_that_does_not_answer_is_one_line(command, arguments, operate):
    unused = free_port()
    done = operate(command, *arguments, WORKER_LEDGER_REDIS_URL=f"redis://127.0.0.1:{unused}/3")
    assert done.exit_code == 5
    assert done.stdout == ""
    cause = "connection refused: nothing listens there; look at WORKER_LEDGER_REDIS_URL or REDIS_*"
    assert done.stderr == f"Error: the ledger at 127.0.0.1:{unused}/3: {cause}\n"


@pytest.mark.parametrize(("command", "arguments"), [(fleet, ()), (runs, ()), (runs, ("abort", "aaaa", "--yes"))])
def test_a_silent_redis_is_waited_for_once(command, arguments, operate, monkeypatch):
    monkeypatch.setattr(core_redis, "_ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        done = operate(command, *arguments, WORKER_LEDGER_REDIS_URL=f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        assert done.exit_code == 5
        listener.accept()[0].close()
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert stamina.is_active()


def test_a_ledger_that_refuses_is_said_with_its_cause(operate, redis_url):
    place = redis_url.split("/")[2]
    for url, cause in {
        f"redis://somebody:hush-hush@{place}/0": "user or password refused",
        f"redis://{place}/99": "there is no database of this number",
        f"sentinel://{place}/0": "the server there is not a sentinel",
    }.items():
        done = operate(fleet, WORKER_LEDGER_REDIS_URL=url)
        assert done.exit_code == 5
        assert f": {cause}; look at WORKER_LEDGER_REDIS_URL or REDIS_*\n" in done.stderr
        assert "hush-hush" not in done.stderr


@pytest.mark.parametrize("given", ["abcd\nefgh", "abcd\x1b[2Jefgh"])
def test_an_id_cannot_steer_the_terminal(given, operate, three_runs):
    done = operate(runs, "show", given)
    assert done.exit_code == 3
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
