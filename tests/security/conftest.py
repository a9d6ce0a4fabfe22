"""One fleet for all of these tests: every secret a canary, every Redis role a user of its own with the least access."""

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from attrs import define, field
from redis import Redis

from unstract_devstack.backend_process import BackendProcess, running_backend
from unstract_devstack.extraction import Field
from unstract_devstack.fleet import Fleet, running_fleet
from unstract_devstack.grounds import granted
from unstract_devstack.http_calls import call, call_json
from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import ExecutionRow, Platform
from unstract_devstack.processes import wait_until
from unstract_devstack.producer import Producer
from unstract_devstack.redis_server import RedisHandle, running_redis
from unstract_devstack.sink import SinkHandle, running_sink

ROOT = Path(__file__).parents[2]
TERMINAL = ("COMPLETED", "ERROR", "STOPPED")
SECONDS = 60.0
# Databases of the three roles, so that a dump says whose key it is.
BROKER, PLATFORM, LEDGER = 0, 1, 2
ROLES = {"broker": BROKER, "platform": PLATFORM, "ledger": LEDGER}

SHORT_WAITS = {
    "WORKER_LEASE_SECONDS": "4",
    "WORKER_SWEEP_SECONDS": "0.5",
    "WORKER_FIRST_RING_WAIT": "2",
    "WORKER_RECHECK_SECONDS": "1",
    "WORKER_DRAIN_SECONDS": "8",
}


def canary(name: str) -> str:
    """A secret that nothing else contains, and that says where it came from."""
    return f"canary-{name}-{secrets.token_hex(8)}"


@define
class Secrets:
    """What must turn up nowhere."""

    broker: str = field(factory=lambda: canary("broker"))
    platform: str = field(factory=lambda: canary("platform"))
    ledger: str = field(factory=lambda: canary("ledger"))
    administrator: str = field(factory=lambda: canary("administrator"))
    signing: str = field(factory=lambda: "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())

    def of(self, role: str) -> str:
        return str(getattr(self, role))


@define
class Ground:
    """The running parts, and what a test asks of them."""

    directory: Path
    redis: RedisHandle
    backend: BackendProcess
    sink: SinkHandle
    fleet: Fleet
    secrets: Secrets
    environment: dict[str, str]
    producer: Producer
    granted: dict[str, str]
    _numbers: Iterator[int] = field(factory=lambda: iter(range(1, 10_000)))

    def database(self, number: int, *, text: bool = False) -> Redis:
        """The administrator's client of one database; answers are bytes unless asked otherwise."""
        known = {"port": self.redis.port, "password": self.secrets.administrator, "socket_timeout": 20.0}
        return Redis(**known, db=number, decode_responses=text)

    def user(self, role: str) -> Redis:
        """A client as a worker has it in this role."""
        name = f"unstract-{role}"
        password = self.secrets.of(role)
        return Redis(port=self.redis.port, username=name, password=password, db=ROLES[role])

    def log_of(self, name: str) -> str:
        return self.fleet.workers[name].process.log_path.read_text(encoding="utf-8")

    def logs(self) -> dict[str, str]:
        return {name: self.log_of(name) for name in self.fleet.workers}

    def pids(self) -> dict[str, int]:
        return {name: worker.process.pid for name, worker in self.fleet.workers.items() if worker.running}

    def letters(self) -> int:
        return int(self.database(LEDGER).llen("uw:dead_letters"))

    def tenant(self) -> "Tenant":
        """A fresh organization."""
        organization = f"org_security_{next(self._numbers)}"
        platform = Platform(self.backend.public_url, self.backend.api_key, organization)
        platform.set_up_organization()
        folder = self.directory / organization
        folder.mkdir()
        return Tenant(self, platform, folder)

    def fault(self, **fault: object) -> None:
        call_json("POST", f"{self.backend.public_url}/dev/faults", payload=fault, key=self.backend.api_key)

    def no_faults(self) -> None:
        call_json("DELETE", f"{self.backend.public_url}/dev/faults", key=self.backend.api_key)

    def requests(self) -> list[dict]:
        """What the backend was asked, oldest first."""
        return call_json("GET", f"{self.backend.public_url}/dev/requests", key=self.backend.api_key)


@define
class Tenant:
    """One organization and what it asks for."""

    ground: Ground
    platform: Platform
    folder: Path

    @property
    def organization(self) -> str:
        return self.platform.organization

    def api(self, name: str = "extract") -> str:
        fields = (Field(name="total", pattern=r"Total:\s*([\d.]+)"),)
        workflow = self.platform.create_workflow(name, "api", fields)
        self.platform.create_api_deployment(workflow, name)
        return workflow

    def etl(self, table: str, files: dict[str, str]) -> str:
        source = self.folder / table
        source.mkdir()
        for name, content in files.items():
            (source / name).write_text(content, encoding="utf-8")
        workflow = self.platform.create_workflow(table, "etl", (), source_folder=str(source), destination_table=table)
        return self.platform.create_pipeline(workflow, table)

    def upload(self, name: str, content: str | bytes) -> Upload:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Upload(path, name, path.stat().st_size)

    def send(self, *files: Upload, api_name: str = "extract") -> str:
        return self.platform.send_files(api_name, files, use_file_history=False)

    def pending(self, workflow: str) -> str:
        """A new execution of the workflow that was not started."""
        headers = {"Authorization": f"Bearer {self.ground.backend.api_key}", "Content-Type": "application/json"}
        body = json.dumps({"workflow_id": workflow, "log_events_id": str(uuid4())}).encode()
        url = f"{self.ground.backend.internal_url}/v1/workflow-manager/execution/create/"
        reply = call("POST", url, body=body, headers=headers | {"X-Organization-ID": self.organization})
        assert reply.status < 300, reply.body
        return str(reply.json()["execution_id"])

    def ended(self, execution_id: str) -> ExecutionRow:
        def terminal() -> bool:
            self.ground.fleet.check()
            return self.platform.execution(execution_id).status in TERMINAL

        assert wait_until(terminal, seconds=SECONDS), self.platform.execution(execution_id)
        return self.platform.execution(execution_id)

    def works(self) -> None:
        """The fleet serves: a good file of this organization comes back COMPLETED."""
        if not any(row.kind == "api" for row in self.platform.executions()):
            self.api("proof")
        row = self.ended(self.send(self.upload("good.txt", "Total: 1"), api_name="proof"))
        assert (row.status, row.successful) == ("COMPLETED", 1)


def worker_variables(redis: RedisHandle, backend: BackendProcess, known: Secrets) -> dict[str, str]:
    host = f"127.0.0.1:{redis.port}"
    variables = {
        "INTERNAL_API_BASE_URL": backend.internal_url,
        "INTERNAL_SERVICE_API_KEY": backend.api_key,
        "CELERY_BROKER_BASE_URL": f"redis://unstract-broker:{known.broker}@{host}/{BROKER}",
        "WORKER_LEDGER_REDIS_URL": f"redis://unstract-ledger:{known.ledger}@{host}/{LEDGER}",
        "WORKER_HEALTH_HOST": "127.0.0.1",
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "WEBHOOK_SIGNING_SECRET": known.signing,
        "LOG_LEVEL": "DEBUG",
    }
    for prefix in ("", "CACHE_"):
        variables |= {
            f"{prefix}REDIS_HOST": "127.0.0.1",
            f"{prefix}REDIS_PORT": str(redis.port),
            f"{prefix}REDIS_DB": str(PLATFORM),
            f"{prefix}REDIS_USERNAME": "unstract-platform",
            f"{prefix}REDIS_PASSWORD": known.platform,
        }
    return variables | SHORT_WAITS


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    directory, known = tmp_path_factory.mktemp("security"), Secrets()
    with running_redis(directory / "redis", password=known.administrator) as redis:
        with redis.client() as administrator:
            for role, rules in granted().items():
                administrator.execute_command(
                    "ACL", "SETUSER", f"unstract-{role}", "reset", "on", f">{known.of(role)}", *rules.split()
                )
        root = f"redis://:{known.administrator}@127.0.0.1:{redis.port}"
        with (
            running_backend(
                directory / "backend",
                broker_url=f"{root}/{BROKER}",
                redis_url=f"{root}/{PLATFORM}",
                options=("--upload-rules", "none"),
            ) as backend,
            running_sink() as sink,
        ):
            environment = worker_variables(redis, backend, known)
            producer = Producer(f"{root}/{BROKER}")
            with running_fleet(environment, directory / "logs") as fleet:
                yield Ground(directory, redis, backend, sink, fleet, known, environment, producer, granted())
            producer.close()


@pytest.fixture
def tenant(ground: Ground) -> Tenant:
    return ground.tenant()


@pytest.fixture
def eventually() -> Callable[..., None]:
    def check(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
        assert wait_until(condition, seconds=seconds)

    return check
