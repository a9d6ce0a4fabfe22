"""M1 to M4: whatever is put on the fleet's queues, it is refused or served, and the next good one is served."""

import base64
import json
import pickle
import random
import re
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from unstract_devstack.producer import StartOptions

BROKER, LEDGER = 0, 2
MIB = 2**20
CAPTURE = "uw_capture"
MUTANTS = 40
PIECES = (
    b"null",
    b"[]",
    b"{}",
    b"1e999",
    b'"',
    b"\\ud800",
    b"9" * 30,
    b"\xff",
    b"\x00",
    b"-1",
    b"true",
    b"../",
    b"\\n",
)


@pytest.fixture
def captured(ground) -> Callable[[Callable[[], object]], dict]:
    """The envelope of what is sent to the queue of that name, taken before anybody consumes it."""

    def take(send: Callable[[], object]) -> dict:
        send()
        return json.loads(ground.database(BROKER).rpop(CAPTURE))

    return take


@pytest.fixture
def put(ground) -> Callable[..., None]:
    """Put an envelope, or what is none, on a queue."""

    def push(queue: str, raw: bytes) -> None:
        ground.database(BROKER).lpush(queue, raw)

    return push


@pytest.fixture
def letters_of(ground) -> Callable[[int], list[dict]]:
    """The dead letters since there were so many."""

    def read(since: int) -> list[dict]:
        database = ground.database(LEDGER)
        return [
            json.loads(raw)
            for raw in database.lrange("uw:dead_letters", 0, database.llen("uw:dead_letters") - since - 1)
        ]

    return read


def memory_mib(pid: int, name: str) -> float:
    """VmRSS or VmHWM (the most since `forget_peak`)."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def valid(ground, captured) -> Iterator[tuple[str, dict]]:
    """A message of every kind, as the platform and the workers send them, with the queue it belongs to."""
    producer, workflow, execution = ground.producer, str(uuid4()), str(uuid4())
    file = {"file_name": "a.txt", "file_path": "in/a.txt", "file_hash": "ab", "file_size": 3, "fs_metadata": {"x": 1}}
    options = StartOptions(pipeline_id=str(uuid4()), use_file_history=True)
    batch = {"files": [["a.txt", file]], "file_data": {"workflow_id": workflow, "execution_id": execution, "organization_id": "org_none"}}  # fmt: skip
    hook = ([f"{ground.sink.url}/mutant", {"text": "x"}, {"Authorization": "Bearer x"}, 1], {"max_retries": 0})
    bell = {"run_id": execution, "schema": 1}
    sent = {
        "celery_api_deployments": lambda: producer.start_execution("org_none", workflow, execution, {"a": file}, options, CAPTURE),
        "celery": lambda: producer.start_execution("org_none", workflow, execution, {}, options, CAPTURE),
        "notifications": lambda: producer.webhook(*hook, CAPTURE),
        "file_processing": lambda: producer.send("process_file_batch", [batch], {}, CAPTURE),
        "file_processing_callback": lambda: producer.send("process_batch_callback", [[{"total_files": 1}]], {}, CAPTURE),
        "uw_orchestrate": lambda: producer.send("unstract_worker.orchestrate", [], bell, CAPTURE),
        "uw_files": lambda: producer.send("unstract_worker.process_batch", [], bell | {"epoch": 1, "batch": 0}, CAPTURE),
        "uw_callback": lambda: producer.send("unstract_worker.finalise", [], bell, CAPTURE),
        "uw_deliver": lambda: producer.send("unstract_worker.deliver", [], bell, CAPTURE),
    }  # fmt: skip
    for queue, send in sent.items():
        yield queue, captured(send)


def mutant(envelope: dict, chance: random.Random) -> bytes:
    """The bytes of an envelope, some of them changed: in the envelope, or in the body inside it."""
    fresh = {**envelope, "properties": {**envelope["properties"], "delivery_tag": str(uuid4())}}
    whole = chance.random() < 0.5
    body = bytearray(json.dumps(fresh).encode() if whole else base64.b64decode(fresh["body"]))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(body))
        body[at : at + chance.randint(0, 3)] = chance.choice(PIECES) if chance.random() < 0.5 else chance.randbytes(1)
    return bytes(body) if whole else json.dumps({**fresh, "body": base64.b64encode(body).decode()}).encode()


def test_m1_mutated_messages_do_not_stop_the_fleet(ground, tenant, captured, put, letters_of, eventually):
    tenant.works()
    pids, before = ground.pids(), ground.letters()
    chance, sent = random.Random(20_240_229), 0
    for queue, envelope in valid(ground, captured):
        for _ in range(MUTANTS):
            put(queue, mutant(envelope, chance))
            sent += 1

    eventually(lambda: ground.database(BROKER).hlen("uw_unacked") == 0)
    tenant.works()
    pipeline = tenant.etl("after_mutants", {"a.txt": "Total: 1"})
    assert tenant.ended(tenant.platform.trigger(pipeline)).status == "COMPLETED"
    letters = letters_of(before)
    assert ground.pids() == pids
    assert sent // 4 < len(letters) <= sent
    assert all(letter["reason"] for letter in letters)
    assert all(line.startswith("{") for log in ground.logs().values() for line in log.splitlines())


class Touch:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    "content_type",
    ["application/x-python-serialize", "application/x-yaml", "application/x-msgpack", "application/data", "text/plain"],
)
def test_m2_other_content_types_are_refused_and_run_nothing(
    ground, tenant, captured, put, letters_of, eventually, content_type
):
    touched, before = tenant.folder / "touched", ground.letters()
    arguments = [["x", Touch(touched)], {}, {}]
    yaml = f"!!python/object/apply:os.system ['touch {touched}']".encode()
    body = yaml if content_type.endswith(("yaml", "plain")) else pickle.dumps(arguments)
    envelope = captured(lambda: ground.producer.send("async_execute_bin", [], {}, CAPTURE))
    changed = {"content-type": content_type, "content-encoding": "binary", "body": base64.b64encode(body).decode()}
    queues = ("celery_api_deployments", "celery", "uw_files", "uw_callback")
    for queue in queues:
        headers = {"headers": envelope["headers"] | {"id": str(uuid.uuid4())}}  # a message has one letter
        put(queue, json.dumps(envelope | headers | changed).encode())

    eventually(lambda: ground.letters() == before + len(queues))
    assert {letter["reason"] for letter in letters_of(before)} == {
        "it is not JSON in UTF-8 by its content type and encoding"
    }
    tenant.works()
    assert not touched.exists()


@pytest.mark.parametrize("compression", ["zlib", "gzip", "application/x-gzip"])
def test_m3_a_bomb_is_refused_before_it_is_unpacked(ground, tenant, captured, put, letters_of, eventually, compression):
    packer = zlib.compressobj(1)
    bomb = b"".join([packer.compress(b" " * MIB) for _ in range(400)]) + packer.flush()
    pid, before = ground.pids()["general"], ground.letters()
    envelope = captured(lambda: ground.producer.send("async_execute_bin", [], {}, CAPTURE))
    envelope["headers"]["compression"] = compression
    forget_peak(pid)
    usual = memory_mib(pid, "VmRSS")
    put("celery", json.dumps({**envelope, "body": base64.b64encode(bomb).decode()}).encode())

    eventually(lambda: ground.letters() == before + 1)
    (letter,) = letters_of(before)
    assert "compressed" in letter["reason"]
    assert letter.get("body", "") == ""
    assert memory_mib(pid, "VmHWM") < usual + 100
    tenant.works()


def test_m4_a_message_of_100_mb_is_refused_and_the_worker_serves_on(
    ground, tenant, captured, put, letters_of, eventually
):
    pid, before = ground.pids()["general"], ground.letters()
    envelope = captured(lambda: ground.producer.send("async_execute_bin", [], {}, CAPTURE))
    forget_peak(pid)
    put("celery", json.dumps({**envelope, "body": base64.b64encode(b" " * (75 * MIB)).decode()}).encode())

    eventually(lambda: ground.letters() == before + 1)
    (letter,) = letters_of(before)
    assert letter["reason"].startswith("larger than")
    eventually(lambda: ground.database(BROKER).hlen("uw_unacked") == 0)
    pipeline = tenant.etl("after_the_large_one", {"a.txt": "Total: 1"})
    assert tenant.ended(tenant.platform.trigger(pipeline)).status == "COMPLETED"
    assert memory_mib(pid, "VmHWM") < 450
    assert ground.pids()["general"] == pid
