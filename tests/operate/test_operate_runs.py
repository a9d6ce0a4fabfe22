"""`runs` and `dead-letters` against real workers: runs are stranded, seen, retried, aborted; a letter is sent again."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from unstract_devstack.grounds import granted
from unstract_devstack.ports import free_port
from unstract_devstack.processes import inherited_environment, wait_until

from .operator_shell import numbers_as_text

# Each command is a process of its own, and a machine may be busy.
pytestmark = pytest.mark.timeout(400)

SECONDS = 60.0
ROOT = Path(__file__).parents[2]
BACKEND = ("INTERNAL_API_BASE_URL", "INTERNAL_SERVICE_API_KEY")


def test_a_stranded_run_is_seen_and_a_retry_brings_it_home(ground):
    run_id = ground.stranded(files=3)
    ground.drop_doorbells()
    seen = ground.run("runs", "--json", without=BACKEND)
    run = next(each for each in seen.json["runs"] if each["run_id"] == run_id)
    assert (seen.code, run["state"], run["done"], run["owners"]) == (0, "ARMED", 0, [])
    assert run["organization_id"] == ground.platform.organization
    text = ground.run("runs", "--organization", ground.platform.organization).out
    assert text.splitlines()[0].split("  ")[0] == "run"
    assert run_id in text
    assert "1 shown" in text
    shown = ground.run("runs", "show", run_id)
    assert "files        3 in 1 batches, 0 batches done" in shown.out
    with ground.file_worker():
        # Its doorbell is lost and the next is ten minutes away: only the operator can have rung.
        refused = ground.run("runs", "retry", run_id)
        assert refused.code == 1
        assert "use --yes" in refused.err
        done = ground.run("runs", "retry", run_id, "--yes", without=BACKEND)
        assert (done.code, done.out) == (0, f"run {run_id}: doorbells were sent to file-processing for 1 batches\n")
        assert '"action":"retry"' in done.err.replace(" ", "")
        assert ground.ends(run_id) == "COMPLETED"
        assert wait_until(lambda: ground.view(run_id) is None, seconds=SECONDS)
    again = ground.run("runs", "retry", run_id, "--yes")
    assert again.code == 4
    assert "it ended COMPLETED" in again.err
    assert "3 of 3 files succeeded" in again.err
    reported = ground.run("runs", "show", run_id, "--json")
    assert (reported.code, reported.json["run"]["state"], reported.json["final"]["status"]) == (0, "DONE", "COMPLETED")


def test_an_aborted_run_ends_stopped_and_its_neighbour_completes(ground):
    """Without a file-processing worker: the callback worker ends it alone. Its neighbour waits for one."""
    aborted, neighbour = ground.stranded(), ground.stranded()
    assert ground.run("runs", "abort", aborted).code == 1
    assert ground.view(aborted)["stop"] is False
    done = ground.run("runs", "abort", aborted, "--yes")
    assert done.code == 0
    assert "it will end STOPPED" in done.out
    assert ground.ends(aborted) == "STOPPED"
    assert wait_until(lambda: ground.view(aborted) is None, seconds=SECONDS)
    assert ground.view(neighbour)["state"] == "ARMED"
    with ground.file_worker():
        assert ground.ends(neighbour) == "COMPLETED"
    row = ground.platform.execution(aborted)
    assert (row.successful, row.failed) == (0, 0)
    once_more = ground.run("runs", "abort", aborted, "--yes")
    assert once_more.code == 0
    assert "was aborted before: it ended STOPPED" in once_more.out
    late = ground.run("runs", "abort", neighbour, "--yes")
    assert late.code == 4
    assert "it ended COMPLETED" in late.err


def test_an_unknown_id_is_said_to_be_unknown(ground):
    for command in (("show",), ("retry", "--yes"), ("abort", "--yes")):
        done = ground.run("runs", command[0], "3f0c1c9e-0000-4000-8000-000000000000", *command[1:])
        assert done.code == 3
        assert "the ledger knows no run 3f0c1c9e" in done.err
        assert "Traceback" not in done.err
    assert ground.run("dead-letters", "requeue", "0123456789ab", "--yes").code == 3


def test_the_beginning_of_an_id_is_enough_and_an_ambiguous_one_is_refused_with_its_candidates(ground):
    run_id = ground.stranded()
    for command in (("show",), ("retry", "--yes")):
        done = ground.run("runs", command[0], run_id[:8], *command[1:])
        assert (done.code, run_id in done.out) == (0, True)
    with ground.stack.redis.client() as client:
        client.sadd("uw:open", twin := f"{run_id[:8]}-twin")
        try:
            for command in ("show", "retry", "abort"):
                refused = ground.run("runs", command, run_id[:8], *(() if command == "show" else (run_id, "--yes")))
                assert refused.code == 1
                assert f"2 runs: {', '.join(sorted((run_id, twin)))}" in refused.err
            assert ground.view(run_id)["stop"] is False  # one id was wrong, and nothing was done
        finally:
            client.srem("uw:open", twin)
        client.lpush("uw:dead_letters", json.dumps({"task": "x", "queue": "q", "reason": "a letter"}))
        letters = [letter["id"] for letter in ground.run("dead-letters", "list", "--json").json["letters"]]
        assert ground.run("dead-letters", "show", letters[0][:8], "--json").json["id"] == letters[0]
        client.delete("uw:dead_letters")
    assert ground.run("runs", "abort", run_id[:8], "--yes").code == 0
    assert ground.ends(run_id) == "STOPPED"
    assert "it ended STOPPED" in ground.run("runs", "abort", run_id[:8], "--yes").out


def test_a_ledger_or_broker_that_is_away_is_named(ground):
    run_id = ground.stranded()
    unused = str(free_port())
    away = ground.run("runs", WORKER_LEDGER_REDIS_URL=f"redis://:hush-hush@127.0.0.1:{unused}/3")
    assert away.code == 5
    assert f"the ledger at 127.0.0.1:{unused}/3" in away.err
    assert "hush-hush" not in away.err + away.out
    mute = ground.run("runs", "retry", run_id, "--yes", CELERY_BROKER_BASE_URL=f"redis://127.0.0.1:{unused}/0")
    assert mute.code == 5
    assert "is due now, but no doorbell could be sent" in mute.err
    with ground.file_worker():  # the sweeper rang for it
        assert ground.ends(run_id) == "COMPLETED"


def test_a_message_at_the_wrong_worker_is_dead_lettered_and_sent_again(ground):
    starter = ground.stack.fleet.workers["api-deployment"]
    starter.stop()
    try:
        run_id = ground.send()
        with ground.stack.redis.client() as client:
            assert wait_until(lambda: client.llen("celery_api_deployments") == 1, seconds=SECONDS)
            client.rpoplpush("celery_api_deployments", "file_processing_callback")
            assert wait_until(lambda: client.llen("uw:dead_letters") > 0, seconds=SECONDS)
    finally:
        starter.start()
        starter.wait_ready()
    letters = ground.run("dead-letters", "list", "--json").json
    letter = letters["letters"][0]
    assert "this worker has no such task" in letter["reason"]
    assert letter["id"] in ground.run("dead-letters", "list").out
    assert run_id in ground.run("dead-letters", "show", letter["id"]).out
    assert ground.run("runs", "show", run_id).code == 3  # the ledger never saw it
    unconfirmed = ground.run("dead-letters", "requeue", letter["id"])
    assert unconfirmed.code == 1
    assert "use --yes" in unconfirmed.err
    done = ground.run("dead-letters", "requeue", letter["id"], "--queue", "celery_api_deployments", "--yes")
    assert (done.code, done.out.split(": ")[0]) == (0, f"dead letter {letter['id']}")
    with ground.file_worker():
        assert ground.ends(run_id) == "COMPLETED"
    assert ground.run("dead-letters", "requeue", letter["id"], "--yes").code == 3


def test_nothing_that_a_message_carried_is_shown(ground):
    with ground.stack.redis.client() as client:
        meta = {
            "state": "ACCEPTED", "task": "webhook", "kind": "etl", "organization": "", "epoch": "0", "n": "0",
            "attempts": "1", "accepted_at": "1", "progress": "1", "rings": "0",
            "last_error": "redis://user:canary-in-an-error@host \x1b[2J said no",
        }  # fmt: skip
        client.hset("uw:{webhook.canary}:meta", mapping=meta)
        client.set("uw:{webhook.canary}:start", json.dumps({"headers": {"Authorization": "canary-in-a-header"}}))
        client.zadd("uw:due", {"webhook.canary": 9e12})
        client.sadd("uw:open", "webhook.canary")
        try:
            shown = [
                ground.run("runs", *arguments)
                for arguments in ((), ("--json",), ("show", "webhook.canary"), ("show", "webhook.canary", "--json"))
            ]
            refused = ground.run("runs", "abort", "webhook.canary", "--yes")
        finally:
            client.delete("uw:{webhook.canary}:meta", "uw:{webhook.canary}:start")
            client.zrem("uw:due", "webhook.canary")
            client.srem("uw:open", "webhook.canary")
    for done in shown:
        assert done.code == 0
        assert "webhook.canary" in done.out
        assert "canary-in" not in done.out + done.err
        assert "\x1b" not in done.out
    assert refused.code == 1
    assert "ends by itself after its last try" in refused.err


def test_a_terminal_gets_a_table_and_is_asked(ground):
    run_id = ground.stranded()
    environment = {**inherited_environment(), **ground.stack.environment, "TERM": "xterm", "COLUMNS": "200"}
    parent, child = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "unstract_worker_callback", "runs", "retry", run_id],
        env=environment, stdin=child, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as asked:  # fmt: skip
        os.write(parent, b"n\n")
        out, err = asked.communicate(timeout=60)
    assert asked.returncode == 1
    assert f"Retry run {run_id} (ARMED, 0 of 1 batches done) now" in err
    assert "nothing was changed" in err
    assert out == ""
    drawn = subprocess.Popen(
        [sys.executable, "-m", "unstract_worker_callback", "runs"], env=environment, stdout=child, stderr=child
    )
    assert drawn.wait(timeout=60) == 0
    text = os.read(parent, 65536).decode()
    assert "───" in text  # rich's
    assert run_id[:8] in text
    os.close(parent)
    os.close(child)


def test_the_fleet_lists_live_workers_and_runs_say_that_one_is_missing(ground):
    run_id = ground.stranded()  # the stack has no file-processing worker
    workers = ground.run("fleet", "--json").json["workers"]
    live = {worker["worker"]: worker for worker in workers if worker["alive"]}
    assert set(live) == {"api_deployment", "general", "callback"}
    assert live["callback"]["slots"] > 0
    assert live["callback"]["queues"]
    assert isinstance(live["callback"]["idle_seconds"], int | float)
    assert "3 alive" in ground.run("fleet").out

    reasons = {run["run_id"]: run["reason"] for run in ground.run("runs", "--json").json["runs"]}
    assert reasons[run_id] == "no file-processing worker is alive"
    assert "no file-processing worker is alive" in ground.run("runs", "show", run_id).out


def test_numbers_in_log_lines_are_numbers(ground):
    run_id = ground.stranded()
    with ground.file_worker() as files:
        assert ground.ends(run_id) == "COMPLETED"
        logs = [worker.process.log_path for fleet in (ground.stack.fleet, files) for worker in fleet.workers.values()]
    lines = [line for log in logs for line in log.read_text().splitlines() if line.startswith("{")]
    assert [line for line in lines if '"batch_id":0' in line]
    assert [line for line in lines if numbers_as_text(json.loads(line))] == []


def test_watching_looks_again_and_again(ground):
    environment = {**inherited_environment(), **ground.stack.environment}
    with subprocess.Popen(
        [sys.executable, "-m", "unstract_worker_callback", "runs", "--watch", "--json", "--interval", "0.2"],
        env=environment, stdout=subprocess.PIPE, text=True,
    ) as watching:  # fmt: skip
        looks = [json.loads(watching.stdout.readline()) for _ in range(3)]
        watching.terminate()
        watching.wait(timeout=30)
    assert all("runs" in look for look in looks)


def test_watching_goes_on_after_the_ledger_was_away(ground):
    environment = {**inherited_environment(), **ground.stack.environment}
    with subprocess.Popen(
        [sys.executable, "-m", "unstract_worker_callback", "runs", "--watch", "--json", "--interval", "0.2"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as watching:  # fmt: skip
        assert "runs" in json.loads(watching.stdout.readline())
        with ground.stack.redis.frozen():
            assert watching.stderr.readline().startswith("the ledger does not answer, looking again: ")
        while not watching.stdout.readline().startswith("{"):
            assert watching.poll() is None
        looks = [json.loads(watching.stdout.readline()) for _ in range(30)]
        watching.terminate()
        watching.wait(timeout=30)
    assert all("runs" in look for look in looks)


def test_the_least_access_of_the_readme_is_enough(ground):
    run_id = ground.stranded()
    with ground.stack.redis.client() as client:
        for role, rules in granted().items():
            client.execute_command("ACL", "SETUSER", f"least-{role}", "on", f">password-of-{role}", *rules.split())
        at = f"127.0.0.1:{ground.stack.redis.port}/0"
        least = {
            "WORKER_LEDGER_REDIS_URL": f"redis://least-ledger:password-of-ledger@{at}",
            "CELERY_BROKER_BASE_URL": f"redis://least-broker:password-of-broker@{at}",
        }
        client.acl_log_reset()
        for command in (
            ("runs",),
            ("runs", "show", run_id),
            ("fleet",),
            ("runs", "retry", run_id, "--yes"),
            ("dead-letters", "list"),
        ):
            done = ground.run(*command, **least)
            assert done.code == 0, done.err
            assert "password-of" not in done.out + done.err
        assert ground.run("runs", "abort", run_id, "--yes", **least).code == 0
        assert ground.ends(run_id) == "STOPPED"
        refused = {entry["object"] for entry in client.acl_log() if entry["username"].startswith("least-")}
        assert refused <= {"client|setinfo"}  # redis-py tells its version, and goes on where it may not
        for role in granted():
            client.acl_deluser(f"least-{role}")
