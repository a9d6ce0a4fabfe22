"""S1: canary secrets on every way in, a grep over every way out; at DEBUG, with failures, a kill and bad messages."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import define
from redis import Redis

from unstract_devstack.backend.dev.objects import CANARY, CONNECTOR_METADATA
from unstract_devstack.faults.checker import announcements
from unstract_devstack.http_calls import call, call_json
from unstract_devstack.processes import wait_until
from unstract_devstack.sink import Answer
from unstract_worker_core.config import load_settings
from unstract_worker_core.statuses import WorkerType

BROKER, PLATFORM, LEDGER = 0, 1, 2
CONTENT = "canary-content-5be1c0ffee11"
HEADER = "canary-header-77aa10decade"
TOKEN = "canary-token-900dfeedbeef"
NAMED = "canary-named-31337cafe000"


@define
class Told:
    """What happened, for the tests that look at what was left behind."""

    executions: list[str]
    webhooks: list[str]


def everything_in(database: Redis) -> dict[str, bytes]:
    """Every key of a database with all that it holds; one that goes while it is looked at holds nothing."""
    readers = {
        b"string": database.get,
        b"list": lambda key: database.lrange(key, 0, -1),
        b"hash": database.hgetall,
        b"set": database.smembers,
        b"zset": lambda key: database.zrange(key, 0, -1, withscores=True),
        b"none": lambda key: None,
    }
    return {key.decode(errors="replace"): key + repr(readers[database.type(key)](key)).encode() for key in database.scan_iter(count=1000)}  # fmt: skip


def holding(ground, needle: str, *databases: int) -> set[str]:
    """The keys that hold a text."""
    wanted = databases or (BROKER, PLATFORM, LEDGER)
    found = (everything_in(ground.database(number)).items() for number in wanted)
    return {key for items in found for key, value in items if needle.encode() in value}


def hits(texts: dict[str, str | bytes], secrets: dict[str, str]) -> list[tuple[str, str]]:
    """Which secret was found where, plain or in Base64."""
    found = []
    for place, text in texts.items():
        raw = text if isinstance(text, bytes) else text.encode()
        for name, secret in secrets.items():
            if secret.encode() in raw or base64.b64encode(secret.encode()).rstrip(b"=") in raw:
                found.append((name, place))
    return found


def credentials(ground) -> dict[str, str]:
    """What may be nowhere at all, at no time."""
    known = ground.secrets
    own = {name: getattr(known, name) for name in ("broker", "platform", "ledger", "administrator", "signing")}
    return own | {"API key": ground.backend.api_key, "connector": CANARY, "connector's key": CONNECTOR_METADATA["key"]}


def all_secrets(ground) -> dict[str, str]:
    """And what passes through, and must not be seen on its way or stay behind."""
    return credentials(ground) | {"content": CONTENT, "webhook header": HEADER, "webhook URL": TOKEN, "named": NAMED}


def hook(ground, path: str, queue: str, **kwargs: object) -> str:
    headers = {"Authorization": f"Bearer {HEADER}", "X-Custom": HEADER}
    return ground.producer.webhook([f"{ground.sink.url}/{path}/{TOKEN}", {"text": "x"}, headers, 2], kwargs, queue)


def notify(ground, tenant, **target: str) -> None:
    whom = {"organization_id": tenant.organization, "url": f"{ground.sink.url}/notified/{TOKEN}", "platform": "API"}
    body = whom | {"authorization_type": "BEARER", "authorization_key": HEADER} | target
    call_json("POST", f"{ground.backend.public_url}/dev/notifications", payload=body, key=ground.backend.api_key)


def run_everything(ground, tenant) -> Told:
    good, broken = f"Total: 3\n{CONTENT}\n", b"%PDF-1.4 " + CONTENT.encode()
    tenant.api()
    pipeline = tenant.etl("canaries", {"a.txt": good})
    notify(ground, tenant, pipeline_id=pipeline)
    refused = {"error": f"Bearer {ground.backend.api_key} may not", "detail": f"api_key={ground.backend.api_key}"}
    ground.fault(kind="body", path="/usage/", status=403, body=json.dumps(refused), count=2)

    executions = [tenant.send(tenant.upload("a.txt", good), tenant.upload("broken.pdf", broken))]
    executions.append(tenant.platform.trigger(pipeline))
    tenant.ended(executions[-1])
    # A scheduled run knows the first file by its history, and a run without files is not announced.
    (tenant.folder / "canaries" / "b.txt").write_text(f"{good}b\n")
    tenant.platform.trigger(pipeline, how="schedule")
    ground.sink.answer_next(Answer(status=500, body=HEADER.encode()))
    webhooks = [hook(ground, "hook", "notifications", max_retries=0), hook(ground, "hook", "notifications")]
    hook(ground, "lost", "celery_api_deployments")  # at the wrong worker
    hidden = {"password": NAMED, "api_key": NAMED, "connector_metadata": {"x": NAMED}}
    ground.producer.send("async_execute_bin", ["../x", "y", "z", {}], {"custom_data": hidden}, "celery")
    ground.producer.send("no.such.task", [], hidden, "uw_callback")

    ground.fault(kind="delay", path="execute-file", delay=3.0, count=1)
    executions.append(tenant.send(tenant.upload("killed.txt", good + "killed")))
    worker = ground.fleet.workers["file-processing"]
    assert wait_until(lambda: any(fault["hits"] for fault in faults(ground) if fault["kind"] == "delay"), seconds=30)
    worker.kill()
    worker.start()
    worker.wait_ready()
    for execution in executions:
        tenant.ended(execution)
    return Told(executions, webhooks)


def faults(ground) -> list[dict]:
    return call_json("GET", f"{ground.backend.public_url}/dev/faults", key=ground.backend.api_key)


@pytest.fixture(scope="module")
def worked(ground) -> Told:
    """All of it has happened, and every run of the ledger is over."""
    tenant, others = ground.tenant(), ground.database(LEDGER).smembers("uw:open")
    reported = run_everything(ground, tenant)
    # Between the sending run and the receiving run there is only a message: nothing in the ledger to wait for.
    assert wait_until(lambda: len(announcements(ground.sink.received())) == 2, seconds=30), "of the pipeline's two runs"
    assert wait_until(lambda: ground.database(LEDGER).smembers("uw:open") <= others, seconds=30)
    ground.no_faults()
    for execution in (reported.executions[0], reported.executions[-1]):
        items = tenant.platform.results("extract", execution).items
        assert CONTENT in json.dumps(items)  # it came as far as its caller
    return reported


def test_s1_no_secret_is_logged(ground, worked):
    logs = ground.logs()
    assert all('"level":"debug"' in log for log in logs.values())
    assert hits(logs, all_secrets(ground)) == []


def test_s1_no_secret_and_no_id_on_the_health_pages(ground, worked):
    pages = {
        f"{name} {path}": call("GET", f"{worker.health_url.removesuffix('/health')}{path}").body
        for name, worker in ground.fleet.workers.items()
        for path in ("/health", "/health/live", "/health/ready", "/metrics", "/else")
    }
    ids = dict.fromkeys(worked.executions + worked.webhooks)
    assert b"unstract_worker_tasks_total" in pages["general /metrics"]
    assert hits(pages, all_secrets(ground) | {each: each for each in ids} | {"organization": "org_security"}) == []


def test_s1_nothing_stays_in_redis_once_the_runs_are_done(ground, worked):
    for name, secret in all_secrets(ground).items():
        assert holding(ground, secret) == set(), name


def test_s1_no_credential_ever_got_into_the_log_that_redis_writes(ground, worked):
    folder = ground.redis.directory / "appendonlydir"
    written = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert hits(written, {"content": CONTENT}), "the file holds what was written"
    assert hits(written, credentials(ground)) == []


def test_s1_what_passed_through_is_gone_when_redis_rewrites_its_log(ground, worked):
    redis = ground.database(BROKER)
    redis.config_set("aof-use-rdb-preamble", "no")  # plain text, to be looked at
    redis.bgrewriteaof()
    assert wait_until(lambda: redis.info("persistence")["aof_rewrite_in_progress"] == 0, seconds=20)
    folder = ground.redis.directory / "appendonlydir"
    assert wait_until(lambda: not hits(written(folder), all_secrets(ground)), seconds=10), hits(
        written(folder), all_secrets(ground)
    )


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.exists()}


@pytest.mark.parametrize(
    "command",
    [("-m", "unstract_worker_general", "check", "--json"), ("-m", "celery", "-A", "unstract_worker_general", "report")],
    ids=["check", "celery report"],
)
def test_s1_no_secret_in_what_the_commands_print(ground, worked, command):
    done = subprocess.run(
        [sys.executable, *command], env=ground.environment, capture_output=True, check=True, timeout=60
    )
    assert done.stdout
    assert hits({"stdout": done.stdout, "stderr": done.stderr}, all_secrets(ground)) == []


def test_s1_no_secret_in_the_settings_as_text_nor_in_the_command_lines(ground):
    settings = load_settings(ground.environment, worker=WorkerType.GENERAL)
    texts = {how: form(settings) for how, form in (("repr", repr), ("str", str), ("format", "{}".format))}
    lines = {name: Path(f"/proc/{pid}/cmdline").read_bytes() for name, pid in ground.pids().items()}
    assert settings.backend.api_key.reveal() == ground.backend.api_key
    assert hits(texts | lines, all_secrets(ground)) == []


def test_s1_an_open_webhook_holds_its_headers_in_its_own_record_only(ground, eventually):
    """The one place: what it takes to send it again. Gone with the record's end."""
    secret = "canary-open-webhook-0dd5"
    ground.sink.answer_next(Answer(status=500))
    posted = len(ground.sink.received())
    args = [f"{ground.sink.url}/open/{secret}", {"text": "x"}, {"Authorization": f"Bearer {secret}"}, 2]
    task_id = ground.producer.webhook(args, {"max_retries": 2, "retry_delay": 2}, "notifications")
    own = f"uw:{{webhook.{task_id}}}:start"

    eventually(lambda: len(ground.sink.received()) > posted and holding(ground, secret) == {own})
    eventually(lambda: holding(ground, secret) == set())
    assert secret not in "".join(ground.logs().values())
    assert ground.sink.received()[-1].headers["authorization"] == f"Bearer {secret}"


def test_s1_file_content_is_with_its_run_then_with_its_caller_then_nowhere(ground, tenant, eventually):
    content = "canary-of-an-open-run-1ceb00da"
    tenant.api()
    callback = ground.fleet.workers["callback"]
    callback.stop()
    execution = tenant.send(tenant.upload("a.txt", f"Total: 1 {content}"))
    meta = f"uw:{{{execution}}}:meta"
    eventually(lambda: ground.database(LEDGER).hget(meta, "state") == b"READY")
    assert holding(ground, content) == {f"uw:{{{execution}}}:results"}

    callback.start()
    callback.wait_ready()
    tenant.ended(execution)
    eventually(lambda: holding(ground, content, LEDGER, BROKER) == set())
    (kept,) = holding(ground, content)
    assert re.fullmatch(rf"api_results:[0-9a-f-]{{36}}:{execution}", kept)
    assert 0 < ground.database(PLATFORM).ttl(kept) <= 86_400

    assert content in json.dumps(tenant.platform.results("extract", execution).items)
    assert holding(ground, content) == set()
    assert content not in "".join(ground.logs().values())
