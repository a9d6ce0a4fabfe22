"""Files through the platform's executor: the stand-in is a process of its own, which reads the same store."""

import base64
import json
import re

import pytest
from attrs import evolve
from celery import Celery

from unstract_devstack.executor import Fault
from unstract_devstack.ports import free_port
from unstract_worker_core.backend.breaker import BreakerState
from unstract_worker_core.errors import SteppedAside
from unstract_worker_core.ledger import OutcomeKind, RunState
from unstract_worker_core.ledger.operator import Operator
from unstract_worker_core.messages.batch import read_batch
from unstract_worker_core.runs.runtime import TtlCache
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_file_processing import tasks
from unstract_worker_file_processing.chord_compat import process_chord_batch
from unstract_worker_file_processing.deferred import Parked

ANSWERS = "uw_executor_answers"


@pytest.fixture
def receive(runtime, redis):
    """Takes the next answer off its queue and hands it to its task, as a worker does."""
    app = Celery("files", set_as_current=False)
    tasks.register(app, lambda: runtime)

    def call():
        looks = (redis.blpop([ANSWERS], timeout=2) for _ in range(30))
        found = next((found for found in looks if found is not None), None)
        assert found is not None, "no answer came"
        message = json.loads(found[1])
        args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        app.tasks[message["headers"]["task"]].apply(args=args, kwargs=kwargs, throw=True)
        return args

    return call


def through(bench, receive):
    """Process until the batch is complete; how often it was parked."""
    times = 0
    while bench.state() is not RunState.READY:
        try:
            bench.process()
        except Parked:
            times += 1
            receive()
    return times


def folder_of(bench, item):
    parts = ("unstract/execution", "org_files", bench.workflow_id, bench.execution_id, item.file_execution_id)
    return "/".join(parts)


def test_a_file_gets_its_result_its_usage_and_its_folder(make_platform_bench, executing, receive, s3):
    bench = make_platform_bench()
    item = bench.file("bill.txt", "Total: 12.50")
    bench.arm()

    assert through(bench, receive) == 1

    outcome = bench.outcomes()["bill.txt"]
    assert outcome.kind is OutcomeKind.COMPLETED
    assert outcome.result["output"]["fields"] == {"total": "12.50"}
    assert outcome.metadata["usage"]["prompt_tokens"] > 0
    assert outcome.metadata["total_pages_processed"] == 1
    assert outcome.metadata["source_hash"] == item.hash
    assert bench.rows()["bill.txt"].status is ExecutionStatus.COMPLETED
    folder = folder_of(bench, item)
    assert b"".join(s3.chunks(f"{folder}/SOURCE")) == b"".join(s3.chunks(f"{folder}/INFILE")) == b"Total: 12.50"
    metadata = s3.read_json(f"{folder}/METADATA.json")
    assert (metadata["source_name"], metadata["source_hash"]) == ("bill.txt", item.hash)
    assert executing.bill.per_file(bench.execution_id) == {item.file_execution_id: 1}


def test_a_run_of_32_files_makes_few_calls_of_the_internal_api(configured, make_platform_bench, executing, receive):
    # By default a status is asked for once a second: a busy machine, which takes longer, would make more calls.
    files = evolve(configured.settings.files, status_seconds=10.0)
    configured.settings = evolve(configured.settings, files=files)
    bench = make_platform_bench()
    for number in range(32):
        bench.file(f"{number}.txt", f"Total: {number}.00")
    bench.arm()
    first = bench.platform.dev("GET", "requests?after=0")[-1]["id"]

    through(bench, receive)

    asked = [each["path"] for each in bench.platform.dev("GET", f"requests?after={first}")]
    ours = [path for path in asked if path.startswith("/internal/") and "/usage/batch/" not in path]
    assert len(ours) <= 3.5 * 32
    assert {outcome.kind for outcome in bench.outcomes().values()} == {OutcomeKind.COMPLETED}
    assert set(executing.bill.per_file(bench.execution_id).values()) == {1}


def test_what_the_executor_refuses_fails_the_file_and_not_its_siblings(make_platform_bench, executing, receive):
    executing.bill.add(Fault("refuse", name="a.txt"))
    bench = make_platform_bench()
    bench.file("a.txt", "Total: 1.00")
    bench.file("b.txt", "Total: 2.00")
    bench.arm()

    through(bench, receive)

    outcomes = bench.outcomes()
    assert outcomes["a.txt"].error == "Workflow error: the stand-in is set to refuse"
    assert outcomes["b.txt"].kind is OutcomeKind.COMPLETED


def test_an_executor_whose_task_fails_says_so_at_once(make_platform_bench, executing, receive):
    executing.bill.add(Fault("fail"))
    bench = make_platform_bench()
    bench.file("a.txt")
    bench.arm()

    through(bench, receive)

    assert "the executor's task failed" in bench.outcomes()["a.txt"].error


def test_an_answer_that_comes_twice_counts_once(make_platform_bench, executing, receive):
    executing.bill.add(Fault("repeat"))
    bench = make_platform_bench()
    bench.file("a.txt")
    bench.arm()

    through(bench, receive)
    receive()

    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED
    sample = bench.runtime.metrics.registry.get_sample_value
    assert sample("unstract_worker_executor_answers_total", {"outcome": "late"}) == 1


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("unstract/api/org_files/another-workflow/x/a.txt", "not in its execution's folder"),
        ("{own}/../another-execution/a.txt", r"{own}/\.\./another-execution/a\.txt' is not in its execution's folder"),
        ("{own}/.//../a.txt", "not in its execution's folder"),
        ("{own}", "not in its execution's folder"),
        ("{own}-not/a.txt", "not in its execution's folder"),
        ("{own}/link/a.txt", "not in its execution's folder"),
        ("{own}/%2e%2e/a.txt", r"a\.txt is not in the store of uploads"),
        (None, r"a\.txt is not in the store of uploads"),
    ],
)
def test_an_upload_that_is_not_there_or_not_its_own_is_refused(make_platform_bench, path, expected):
    bench = make_platform_bench()
    own = f"unstract/api/org_files/{bench.workflow_id}/{bench.execution_id}"
    item = bench.file("a.txt", **({"path": path.format(own=own)} if path else {}))
    if path is None:
        (bench.platform.data / item.path).unlink()
    elsewhere = bench.platform.data / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    (elsewhere / "a.txt").write_text("another customer's")
    (bench.platform.data / own / "link").symlink_to(elsewhere)
    expected = expected.replace("{own}", own)
    bench.arm()

    bench.process()

    assert re.search(expected, bench.outcomes()["a.txt"].error)


def test_an_empty_file_is_refused(make_platform_bench):
    bench = make_platform_bench()
    bench.file("a.txt", b"")
    bench.arm()

    bench.process()

    assert bench.outcomes()["a.txt"].error == "Workflow error: the file is empty"


def test_an_operator_sees_what_a_file_waits_for(make_platform_bench, service, redis):
    bench = make_platform_bench()
    bench.file("a.txt")
    bench.arm()
    service.status = 503
    with pytest.raises(SteppedAside):
        bench.process()
    away = Operator(redis).view(bench.execution_id)
    service.status = None
    with pytest.raises(Parked):
        bench.process()
    waiting = Operator(redis).view(bench.execution_id)

    assert (away.last_error, away.answers_pending) == ("file 1: platform-service answers HTTP 503", ())
    assert [(each.number, each.published) for each in waiting.answers_pending] == [(1, True)]


def test_a_tool_that_platform_service_fails_on_keeps_no_other_customer_waiting(make_platform_bench, service):
    bench = make_platform_bench()
    bench.file("a.txt")
    bench.arm()
    service.status = 500

    for _ in range(4):
        with pytest.raises(SteppedAside, match="HTTP 500") as caught:
            bench.process()
        assert caught.value.delay_seconds >= 15

    assert bench.breaker.state is BreakerState.CLOSED


def test_while_the_executors_queue_is_full_a_file_is_not_copied_again_and_answers_go_on(make_platform_bench, s3):
    bench = make_platform_bench()
    item = bench.file("a.txt")
    bench.arm()
    bench.executor = evolve(bench.executor, publisher=evolve(bench.executor.publisher, queue_limit=0))
    source = f"{folder_of(bench, item)}/SOURCE"
    with pytest.raises(SteppedAside, match="WORKER_EXECUTOR_QUEUE_LIMIT"):
        bench.process()
    s3.write(source, b"as the first try left it")

    for _ in range(4):
        with pytest.raises(SteppedAside, match="WORKER_EXECUTOR_QUEUE_LIMIT"):
            bench.process()

    assert b"".join(s3.chunks(source)) == b"as the first try left it"
    assert bench.breaker.state is BreakerState.CLOSED
    assert bench.charges() == {}


def test_a_store_that_is_away_puts_the_file_off(make_platform_bench, object_store):
    bench = make_platform_bench()
    bench.file("a.txt")
    bench.arm()
    with object_store.process.frozen(), pytest.raises(SteppedAside, match="store of executions"):
        bench.process()

    assert bench.claim().charges == {}


def workflow(bench, source, destination, kind="FILESYSTEM", folder="/in-bucket/out"):
    """The workflow's ends, as the backend gives them, with credentials."""
    return json.dumps(
        {
            "source_config": {"connection_type": "FILESYSTEM", "configuration": {}, "connector_instance": source},
            "destination_config": {
                "connection_type": kind,
                "configuration": {"outputFolder": folder},
                "connector_instance": destination,
            },
        }
    )


def connector(object_store, kind="minio"):
    settings = {"endpoint_url": object_store.url, "key": "any", "secret": "canary-of-a-connector", "region_name": ""}
    return {"connector_id": f"{kind}|id", "connector_name": "bucket", "connector_metadata": settings}


@pytest.fixture
def etl(make_platform_bench, object_store, s3):
    """An ETL bench between folders of a bucket; `put` leaves a file in the source."""

    def made(**changes):
        bench = make_platform_bench(RunKind.ETL)
        ends = {"source": connector(object_store), "destination": connector(object_store)} | changes
        bench.platform.fault(f"/workflow/{bench.workflow_id}/$", "body", body=workflow(bench, **ends))
        return bench

    return made


def put(bench, s3, name, content="Total: 3.00"):
    s3.write(f"in-bucket/in/{name}", content.encode())
    return bench.file(name, content, path=f"in-bucket/in/{name}")


def test_an_etl_file_is_read_from_its_source_and_written_to_its_destination(etl, executing, receive, s3):
    bench = etl()
    item = put(bench, s3, "bill.txt")
    bench.arm()

    through(bench, receive)

    assert bench.outcomes()["bill.txt"].kind is OutcomeKind.COMPLETED
    written = s3.read_json("in-bucket/out/bill.json")
    assert written["output"]["fields"] == {"total": "3.00"}
    folder = folder_of(bench, item)
    assert s3.read_json(f"{folder}/INFILE") == s3.read_json(f"{folder}/COPY_TO_FOLDER/bill.json") == written
    metadata = s3.read_json(f"{folder}/METADATA.json")
    assert (metadata["tool_metadata"][0]["output_type"], metadata["source_name"]) == ("JSON", "bill.txt")
    assert metadata["total_elapsed_time"] >= 0


def test_an_answer_survives_metadata_that_the_executor_overwrote(etl, executing, receive, s3):
    bench = etl()
    item = put(bench, s3, "bill.txt")
    bench.arm()

    def overwritten():
        s3.write(f"{folder_of(bench, item)}/METADATA.json", b'{"workflow_start_time": "at noon"}')
        receive()

    through(bench, overwritten)

    assert bench.outcomes()["bill.txt"].kind is OutcomeKind.COMPLETED
    assert s3.read_json("in-bucket/out/bill.json")["output"]["fields"] == {"total": "3.00"}


@pytest.mark.parametrize("status", [403, 503])
def test_an_answer_that_is_paid_for_is_delivered_while_platform_service_refuses(
    etl, executing, receive, s3, service, status
):
    bench = etl()
    put(bench, s3, "bill.txt", "Total: 5.00")
    bench.arm()

    def refused():
        service.status = status
        bench.executor = evolve(bench.executor, gathering=evolve(bench.executor.gathering, tools=TtlCache()))
        receive()

    through(bench, refused)

    assert bench.outcomes()["bill.txt"].kind is OutcomeKind.COMPLETED
    assert s3.read_json("in-bucket/out/bill.json")["output"]["fields"] == {"total": "5.00"}


def test_a_destination_is_written_over_itself_by_the_next_owner(etl, executing, receive, s3):
    bench = etl()
    put(bench, s3, "bill.txt")
    bench.arm()
    s3.write("in-bucket/out/bill.json", b"what an owner before left half done")

    through(bench, receive)

    assert s3.read_json("in-bucket/out/bill.json")["output"]["fields"] == {"total": "3.00"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": "DATABASE"}, "Destination error: a destination of type DATABASE.*own file workers.*CHORD_COMPAT"),
        ({"destination": "dropbox"}, "Destination error: the destination is a dropbox.*does not open"),
        ({"source": "gdrive"}, "Workflow error: the source is a gdrive.*does not open"),
    ],
)
def test_ends_that_are_not_served_are_refused_before_anything_is_executed(
    etl, executing, object_store, s3, changes, expected
):
    changed = {name: connector(object_store, value) if name != "kind" else value for name, value in changes.items()}
    bench = etl(**changed)
    put(bench, s3, "bill.txt")
    bench.arm()

    bench.process()

    error = bench.outcomes()["bill.txt"].error
    assert re.search(expected, error)
    assert "canary" not in error
    assert not executing.bill.per_file(bench.execution_id)


def test_two_files_of_one_stem_keep_both_results(etl, executing, receive, s3):
    bench = etl()
    first, second = put(bench, s3, "same.txt", "Total: 1.00"), put(bench, s3, "same.md", "Total: 2.00")
    bench.arm([[second], [first]])

    for batch in (0, 1):
        with pytest.raises(Parked):
            bench.process(batch)
        receive()
        bench.process(batch)

    assert {outcome.kind for outcome in bench.outcomes().values()} == {OutcomeKind.COMPLETED}
    assert s3.read_json("in-bucket/out/same.json")["output"]["fields"] == {"total": "1.00"}
    assert s3.read_json("in-bucket/out/same.md.json")["output"]["fields"] == {"total": "2.00"}
    assert s3.read_json(f"{folder_of(bench, second)}/COPY_TO_FOLDER/same.md.json")


def test_two_files_of_one_stem_keep_both_results_in_a_batch_of_a_chord(etl, executing, receive, s3):
    bench = etl()
    items = put(bench, s3, "same.txt", "Total: 1.00"), put(bench, s3, "same.md", "Total: 2.00")
    data = {"workflow_id": bench.workflow_id, "execution_id": bench.execution_id, "organization_id": "org_files"}
    files = [{"provider_file_uuid": item.provider_file_uuid} for item in items]
    for file, item in zip(files, items, strict=True):
        file |= {"file_name": item.name, "file_path": item.path, "source_connection_type": "FILESYSTEM"}
    message = read_batch({"files": files, "file_data": {**data, "pipeline_id": "None"}})
    task = "5f6c1c51-0d6d-4f4f-9a44-2d0c0e6ad001"

    for _ in items:
        with pytest.raises(SteppedAside, match="pending"):
            process_chord_batch(bench.runtime, bench.guarded(), message, task)
        receive()
    result = process_chord_batch(bench.runtime, bench.guarded(), message, task)

    assert result["successful_files"] == 2
    assert s3.read_json("in-bucket/out/same.json")["output"]["fields"] == {"total": "1.00"}
    assert s3.read_json("in-bucket/out/same.md.json")["output"]["fields"] == {"total": "2.00"}


def test_a_destination_whose_bucket_is_missing_is_refused_before_anything_is_paid_for(etl, executing, s3):
    bench = etl(folder="/no-bucket/out")
    for name in ("a.txt", "b.txt"):
        put(bench, s3, name)
    bench.arm()
    bench.process()

    errors = {outcome.error for outcome in bench.outcomes().values()}
    assert errors == {"Destination error: there is no no-bucket in the destination"}
    assert not executing.bill.per_file(bench.execution_id)


def test_a_result_whose_name_is_too_long_is_refused_before_it_is_paid_for(etl, executing, s3):
    bench = etl(folder=f"/in-bucket/{'y' * 800}")
    put(bench, s3, f"{'x' * 250}.md")
    put(bench, s3, "ü.txt")
    bench.arm()

    with pytest.raises(Parked):
        bench.process()

    (outcome,) = bench.outcomes().values()
    assert outcome.error == "Workflow error: its result cannot be written, since its name is too long: rename it"


def test_a_customer_whose_source_is_away_keeps_no_other_customer_waiting(etl, object_store):
    away = connector(object_store)
    away["connector_metadata"]["endpoint_url"] = f"http://127.0.0.1:{free_port()}"
    bench = etl(source=away)
    bench.file("a.txt", path="in-bucket/in/a.txt")
    bench.arm()

    for _ in range(4):
        with pytest.raises(SteppedAside, match="the source cannot be used now") as caught:
            bench.process()
        assert caught.value.delay_seconds >= 30

    assert bench.breaker.state is BreakerState.CLOSED
    assert bench.claim().charges == {}


def test_an_etl_file_of_a_type_that_holds_no_text_is_refused(etl, executing, s3):
    bench = etl()
    put(bench, s3, "film.mp4")
    bench.arm()

    bench.process()

    assert "unsupported" in bench.outcomes()["film.mp4"].error
    assert not executing.bill.per_file(bench.execution_id)
