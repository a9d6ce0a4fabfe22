"""What the compose files promise: closed containers, limits above the workers' own, split networks."""

import re

import pytest
import yaml
from unstract_images.workers import DOCKER, ROOT, WORKERS

WORKER = pytest.mark.parametrize("worker", WORKERS, ids=lambda worker: worker.name)
HEALTHCHECK = ["CMD", "/opt/worker/bin/python", "-I", "-S", "/opt/worker/share/healthcheck.py"]
UNITS = {"m": 1, "g": 1024}


def compose(name: str) -> dict:
    return yaml.safe_load((DOCKER / name).read_text(encoding="utf-8"))


def mebibytes(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(m|g)", text).groups()
    return int(number) * UNITS[unit]


def seconds(text: str) -> int:
    return int(re.fullmatch(r"(\d+)s", text)[1])


def drain_seconds() -> int:
    """WORKER_DRAIN_SECONDS' default, as the reference tells it; after it a process lingers 10 s at most."""
    reference = (ROOT / "packages/unstract-worker-core/ENVIRONMENT.md").read_text(encoding="utf-8")
    return int(re.search(r"`WORKER_DRAIN_SECONDS` \| (\d+) \|", reference)[1]) + 10


@pytest.mark.parametrize("name", ["compose.yaml", "compose.production.yaml"])
@WORKER
def test_containers_are_closed(name, worker):
    service = compose(name)["services"][worker.name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ports"] == [f"127.0.0.1::{worker.health_port}"]
    assert "privileged" not in service
    assert "cap_add" not in service


@WORKER
def test_production_limits_and_restarts(worker):
    service = compose("compose.production.yaml")["services"][worker.name]
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"] == HEALTHCHECK
    assert float(service["cpus"]) > 0
    assert service["pids_limit"] > 0
    assert int(service["environment"]["WORKER_MAX_MEMORY_MB"]) < mebibytes(service["mem_limit"])
    assert seconds(service["stop_grace_period"]) > drain_seconds()


def test_the_ledgers_redis_is_reached_by_the_workers_alone():
    content = compose("compose.production.yaml")
    redis = content["services"]["redis"]
    assert redis["networks"] == ["ledger"]
    assert content["networks"]["ledger"]["internal"] is True
    assert "ports" not in redis
    assert "--aclfile" in redis["command"]
    configuration = (DOCKER / "redis" / "redis.conf").read_text(encoding="utf-8")
    for line in ("appendonly yes", "maxmemory-policy noeviction"):
        assert line in configuration.splitlines()


def test_only_general_has_the_webhooks_network():
    services = compose("compose.production.yaml")["services"]
    assert [name for name, service in services.items() if "webhooks" in service["networks"]] == ["general"]


def test_secrets_are_files_and_nothing_else():
    content = compose("compose.production.yaml")
    assert all(set(secret) == {"file"} for secret in content["secrets"].values())
    # Those that only some arrangements need are empty files elsewhere.
    optional = {"backend_db_password", "execution_storage", "api_storage"}
    for name in optional:
        assert content["secrets"].pop(name)["file"].endswith("_SECRET:-/dev/null}")
    assert all(secret["file"].startswith("${SECRETS_DIR") for secret in content["secrets"].values())
    with_it = [name for name, each in content["services"].items() if "backend_db_password" in each.get("secrets", ())]
    assert with_it == ["general", "file-processing", "callback"]
