"""Celery's settings: what guards the ledger cannot be changed."""

import json
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path

import click
import pytest

from unstract_devstack.ports import free_port
from unstract_devstack.processes import wait_until
from unstract_worker_core.errors import ConfigurationError
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.testing import settings_for
from unstract_worker_core.worker.celery_app import celery_settings, make_app, restore_protected
from unstract_worker_core.worker.command_line import COMMANDS, OPTIONS, Effect, check_command_line, long_flag
from unstract_worker_core.worker.definition import WorkerDefinition

REDIS_ONLY = {
    "visibility_timeout",
    "unacked_restore_interval",
    "unacked_restore_throttle",
    "socket_timeout",
    "deadletter_queue",
}


def app_for(worker=WorkerType.FILE_PROCESSING, **variables):
    settings = settings_for(worker, **variables)
    return make_app(WorkerDefinition(worker, "tiny_worker", lambda app, runtime: None), settings), settings


def test_the_settings_that_guard_the_ledger_are_in_force():
    app, _ = app_for()
    expected = {
        "task_acks_late": False,
        "task_reject_on_worker_lost": True,
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        "task_ignore_result": True,
        "result_backend": None,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_enable_prefetch_count_reduction": False,
        "worker_deduplicate_successful_tasks": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 45,
        "worker_enable_soft_shutdown_on_idle": False,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "worker_proc_alive_timeout": 20,
        "worker_max_tasks_per_child": 500,
        "accept_content": ["json"],
        "task_serializer": "json",
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "task_create_missing_queues": False,
        "visibility_timeout": 600,
    }
    assert {name: app.conf.get(name) for name in expected} == expected
    assert (
        app.conf.broker_transport_options.items()
        >= {"visibility_timeout": 60, "socket_timeout": 5, "socket_keepalive": True}.items()
    )
    assert "global_keyprefix" not in app.conf.broker_transport_options


def test_an_override_in_the_process_is_put_back_and_named():
    app, settings = app_for()
    app.conf.task_acks_late = True
    app.conf.accept_content = ["json", "pickle"]
    assert set(restore_protected(app, settings)) == {"task_acks_late", "accept_content"}
    assert app.conf.task_acks_late is False
    assert app.conf.accept_content == ["json"]
    assert restore_protected(app, settings) == ()


def test_redis_options_stay_with_redis_and_rabbitmq_confirms():
    app, _ = app_for(CELERY_BROKER_BASE_URL="amqp://guest:guest@localhost:5672//", RABBITMQ_HA_ENABLED="true")
    options = app.conf.broker_transport_options
    assert options == {"confirm_publish": True, "read_timeout": 10, "write_timeout": 10}
    assert not REDIS_ONLY & options.keys()
    arguments = {queue.name: queue.queue_arguments for queue in app.conf.task_queues}
    assert not arguments.pop("uw_executor_answers")  # an executor's own publisher declares it so
    assert set(map(str, arguments.values())) == {"{'x-queue-type': 'quorum'}"}
    assert app.conf.broker_heartbeat == 5


def test_classic_queues_carry_no_arguments():
    app, _ = app_for(CELERY_BROKER_BASE_URL="amqp://guest:guest@localhost:5672//")
    assert {queue.name for queue in app.conf.task_queues} == {
        "file_processing",
        "api_file_processing",
        "uw_files",
        "uw_api_files",
        "uw_executor_answers",
    }
    assert all(not queue.queue_arguments for queue in app.conf.task_queues)


def test_tls_brokers_are_verified():
    app, _ = app_for(CELERY_BROKER_BASE_URL="amqps://u:p@broker.example:5671//")
    assert app.conf.broker_use_ssl["server_hostname"] == "broker.example"
    assert app.conf.broker_use_ssl["cert_reqs"].name == "CERT_REQUIRED"


def test_results_are_kept_only_with_chord_compatibility():
    chord = {"CHORD_COMPAT": "true", "CELERY_RESULT_BACKEND": "cache+memory://"}
    app, _ = app_for(**chord)
    assert app.conf.result_backend == "cache+memory://"
    assert app.conf.task_ignore_result is True


def test_sentinel_gets_its_master():
    settings = settings_for(WorkerType.CALLBACK, CELERY_BROKER_BASE_URL="sentinel://a:26379;sentinel://b:26379")
    conf = celery_settings(settings)
    assert conf["broker_transport_options"]["master_name"] == "mymaster"
    assert conf["broker_transport"].endswith("PeekSentinelTransport")


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        (("--prefetch-multiplier", "8"), "worker_prefetch_multiplier"),
        (("-E",), "worker_send_task_events"),
        (("--time-limit", "3"), "task_time_limit"),
        (("--", "worker.enable_remote_control=1"), "worker_enable_remote_control"),
    ],
)
def test_options_of_celerys_command_cannot_change_the_guarded(option, setting, start_worker, send, ended, redis):
    worker = start_worker("-m", "celery", "-A", "tiny_worker", "worker", "-c", "1", *option)
    for name in ("a", "b", "c"):
        send("tiny.slow", body=[[], {"name": name}, {}])
    assert ended("a", key="started")
    redis.rpush("go:a", "on")
    assert ended("b", key="started")
    assert redis.hlen("uw_unacked") <= 1
    assert wait_until(lambda: redis.llen("uw_callback") >= 1, seconds=5)
    fixed = [json.loads(line) for line in worker.log.splitlines() if "setting is fixed" in line]
    assert [line["setting"] for line in fixed] == [setting]


def test_celery_variables_in_the_environment_are_reported_and_ignored(start_worker, send, ended):
    elsewhere = "redis://127.0.0.1:1/0"
    worker = start_worker(CELERY_BROKER_URL=elsewhere, CELERY_RESULT_BACKEND=elsewhere, CELERY_TASK_ACKS_LATE="true")
    send("tiny.note", body=[[], {"name": "served"}, {}])
    assert ended("served")
    assert "CELERY_BROKER_URL has no effect" in worker.log
    assert "CELERY_RESULT_BACKEND has no effect" in worker.log
    assert "CELERY_TASK_ACKS_LATE has no effect" in worker.log


def test_a_pool_that_the_workers_cannot_run_in_is_refused(start_worker):
    worker = start_worker("-m", "celery", "-A", "tiny_worker", "worker", "-P", "solo", ready=False)
    assert worker.exit_code() == 2
    assert "--pool: solo is refused: the workers run in threads or prefork only (CELERY_POOL)" in worker.log


def test_queues_named_on_the_command_line_are_consumed_even_if_unknown(start_worker, send, ended):
    start_worker("-m", "celery", "-A", "tiny_worker", "worker", "-Q", "file_processing_priority")
    send("tiny.note", "file_processing_priority", [[], {"name": "named"}, {}])
    send("tiny.note", "uw_callback", [[], {"name": "doorbell"}, {}])
    assert ended("named", "doorbell")


def test_every_option_of_celerys_command_has_its_row():
    from celery.bin.celery import celery
    from celery.bin.worker import worker

    known = [flag for option in OPTIONS for flag in option.flags.split()]
    ours = {long_flag(each) for command in (celery, worker) for each in command.params} - {"--version", "--help"}
    assert sorted(known) == sorted(ours)
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for option in OPTIONS:
        flags = ", ".join(f"`{flag}`" for flag in option.flags.split())
        assert f"| {flags} | {option.effect} | {option.note} |" in readme


def test_every_command_of_celery_has_its_row():
    from celery.bin.celery import celery

    known = {name for command in COMMANDS for name in command.names.split()}
    assert known - {"flower"} == set(celery.commands)
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for command in COMMANDS:
        names = ", ".join(f"`{name}`" for name in command.names.split())
        assert f"| {names} | {command.effect} | {command.note} |" in readme


@pytest.mark.parametrize("name", [name for command in COMMANDS for name in command.names.split()])
def test_a_command_passes_or_is_refused_by_its_row(name):
    effect = next(command.effect for command in COMMANDS if name in command.names.split())
    context = click.Context(click.Command(name))
    if effect is not Effect.REFUSED:
        check_command_line(context, None, "threads")
        return
    with pytest.raises(ConfigurationError, match=rf"^celery {name}: is refused: \w+"):
        check_command_line(context, None, "threads")


def test_a_command_that_another_package_added_is_refused():
    with pytest.raises(ConfigurationError, match="celery other: is refused: it is no command of Celery's own"):
        check_command_line(click.Context(click.Command("other")), None, "threads")


STARTED_IN_CODE = "from tiny_worker import app; app.start({})"
SPELLINGS = [
    (("-m", "celery", "-A", "tiny_worker:app", "purge", "-f"), {}),
    (("-m", "celery", "-A", "tiny_worker", "amqp", "queue.purge", "uw_callback"), {}),
    (("-m", "celery", "--app=tiny_worker.app", "--", "purge", "-f"), {}),
    (("-m", "celery", "purge", "-f"), {"CELERY_APP": "tiny_worker"}),
    (("-c", STARTED_IN_CODE.format(["purge", "-f"])), {}),
    (("-c", STARTED_IN_CODE.format(["worker", "--purge"])), {}),
]


@pytest.mark.parametrize(("command", "variables"), SPELLINGS)
def test_purging_is_refused_however_the_app_is_named(command, variables, start_worker, redis):
    redis.lpush("uw_callback", "a message")
    started = start_worker(*command, ready=False, **variables)
    assert started.exit_code() == 2
    assert "unstract-worker-callback cannot start:\n  " in started.log
    assert re.search("(purge|celery amqp): is refused: (would|can) ", started.log)
    assert "is not known" not in started.log
    assert redis.llen("uw_callback") == 1


def test_variables_of_celerys_options_have_no_effect(start_worker, send, ended):
    send("tiny.note", body=[[], {"name": "sent before"}, {}])
    variables = {"CELERY_WORKER_PURGE": "1", "CELERY_LOADER": "nonsense", "CELERY_CONFIG_MODULE": "nonsense"}
    worker = start_worker("-m", "celery", "-A", "tiny_worker", "worker", **variables)
    assert ended("sent before")
    assert [name for name in variables if f"{name} has no effect" not in worker.log] == ["CELERY_WORKER_PURGE"]
    assert "CELERY_WORKER_PURGE is not known and has no effect" in worker.log


def test_commands_that_only_read_pass_and_those_that_no_worker_answers_say_so(start_worker):
    report = start_worker("-m", "celery", "-A", "tiny_worker", "report", ready=False)
    assert report.exit_code() == 0
    assert "no worker answers" not in report.log
    status = start_worker("-m", "celery", "-A", "tiny_worker", "status", ready=False)
    assert status.exit_code() == 69, status.log
    assert "remote control and events are off: use fleet and runs" in status.log


REFUSED = [
    ("--autoscale", "8,1"), ("--purge",), ("-S", "state"), ("--detach",), ("-BD", "--logfile=x"),
]  # fmt: skip


@pytest.mark.parametrize("option", REFUSED)
def test_an_option_that_would_harm_is_refused(option, start_worker):
    worker = start_worker("-m", "celery", "-A", "tiny_worker", "worker", *option, ready=False)
    assert worker.exit_code() == 2
    assert "cannot start:\n  --" in worker.log
    assert "is refused" in worker.log or "--detach: needs --logfile or LOG_FILE" in worker.log


WRONG = {
    "--uid": ("nobody-here", "User does not exist: nobody-here"), "--gid": ("nobody-here", "Group does not exist: nobody-here"),
    "--umask": ("a", "invalid literal"), "--executable": ("/nowhere/x", "/nowhere/x is no program"),
    "--pidfile": ("/nowhere/x", "/nowhere/x cannot be opened for writing: No such file or directory"),
    "--include": ("nowhere.tasks", "No module named 'nowhere'"), "--queues": ("", "must be a comma list of names"),
    "--concurrency": ("70000", "must be between 1 and 1000"),
}  # fmt: skip


def test_each_value_of_an_option_that_cannot_work_is_named_without_a_traceback(start_worker):
    options = (f"{flag}={value}" for flag, (value, _) in WRONG.items())
    worker = start_worker("-m", "celery", "-A", "tiny_worker", "worker", *options, ready=False)
    assert worker.exit_code() == 2
    assert "Traceback" not in worker.log
    assert [flag for flag, (_, problem) in WRONG.items() if f"  {flag}: {problem}" not in worker.log] == []


def test_a_log_file_of_the_command_line_gets_json_lines(start_worker, tmp_path):
    start_worker("-m", "celery", "-A", "tiny_worker", "worker", "--logfile", str(tmp_path / "worker.log"))
    lines = (tmp_path / "worker.log").read_text().splitlines()
    assert lines
    assert all("event" in json.loads(line) for line in lines)


def test_the_command_lines_slots_count_and_options_of_children_are_warned_about(start_worker):
    worker = start_worker(
        "-m", "celery", "-A", "tiny_worker", "worker", "-c", "3", "--max-tasks-per-child=9", "-O", "fair"
    )
    assert "0 of 3 slots in use" in json.dumps(worker.get("/health/live"))
    warned = [json.loads(line) for line in worker.log.splitlines() if "option has no effect" in line]
    assert {(line["option"], line["instead"]) for line in warned} == {
        ("--max-tasks-per-child", "CELERY_POOL=prefork"), ("--optimization", "CELERY_POOL=prefork"),
    }  # fmt: skip


def test_a_log_file_that_cannot_be_opened_is_refused(start_worker, tmp_path):
    file = str(tmp_path / "nowhere" / "worker.log")
    worker = start_worker("-m", "celery", "-A", "tiny_worker", "worker", "--logfile", file, ready=False)
    assert worker.exit_code() == 2
    assert f"--logfile: {file} cannot be opened" in worker.log


@pytest.fixture
def started_nodes(tmp_path):
    """The processes of the pid files in the test's folder are ended after it."""
    yield lambda name: _pid(tmp_path / f"{name}.pid")
    for file in tmp_path.glob("*.pid"):
        with suppress(ProcessLookupError):
            os.kill(_pid(file), signal.SIGKILL)


def _pid(file):
    return int(file.read_text())


def logged(file, word):
    """The JSON lines of a log file, once one of them has this word."""
    assert wait_until(lambda: file.exists() and word in file.read_text(), seconds=60), file.read_text()
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_detached_nodes_log_into_their_files_and_one_whose_port_is_taken_says_so(
    start_worker, send, ended, tmp_path, started_nodes
):
    """`celery multi start` starts each node detached, all of them with one environment."""
    names, files = ("one", "two"), (f"--logfile={tmp_path}/%n.log", f"--pidfile={tmp_path}/%n.pid")
    port = str(free_port())
    for name in names:  # one after the other: the port is the first one's
        multi = ("-m", "celery", "multi", "start", name, "-A", "tiny_worker", *files, f"--executable={sys.executable}")
        starter = start_worker(*multi, ready=False, CALLBACK_HEALTH_PORT=port)
        assert starter.exit_code(seconds=60) == 0, starter.log
        lines = logged(tmp_path / f"{name}.log", "ready" if name == "one" else "stopped")

    assert [line["problem"] for line in lines if line["event"] == "cannot start"] == [
        "CALLBACK_HEALTH_PORT: cannot be listened on: Address already in use"
    ]
    send("tiny.broken", body=[[], {}, {}])
    logged(tmp_path / "one.log", "task failed unexpectedly")
    os.kill(started_nodes("one"), signal.SIGTERM)
    assert logged(tmp_path / "one.log", "stopped")[-1]["exit_code"] == 0
