import json


def folder(tmp_path, files):
    source = tmp_path / "source"
    source.mkdir()
    for name, content in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return source


def test_an_etl_run_writes_every_file_to_its_destination_once(tenant, tmp_path):
    source = folder(tmp_path, {"a.txt": "Total: 1", "sub/a.txt": "Total: 2", "c.json": "{}"})
    pipeline = tenant.etl(source, "etl_once")

    row = tenant.ended(tenant.platform.trigger(pipeline))

    assert (row.status, row.total, row.successful, row.failed) == ("COMPLETED", 3, 3, 0)
    paths = tenant.platform.destination_paths("etl_once")
    assert len(paths) == len(set(paths)) == 3
    assert tenant.terminal_writes(row.id) == ["COMPLETED"]


def test_a_scheduled_run_creates_one_execution(tenant, tmp_path, eventually):
    pipeline = tenant.etl(folder(tmp_path, {"a.txt": "x"}), "scheduled")

    tenant.platform.trigger(pipeline, how="schedule")

    def ended():
        rows = tenant.platform.executions()
        return bool(rows) and all(row.status == "COMPLETED" for row in rows)

    eventually(ended)
    rows = tenant.platform.executions()
    assert [(row.total, row.successful) for row in rows] == [(1, 1)]


def test_an_empty_folder_is_completed_with_no_files(tenant, tmp_path):
    pipeline = tenant.etl(folder(tmp_path, {}), "nothing")

    row = tenant.ended(tenant.platform.trigger(pipeline))

    assert (row.status, row.total, row.error or "") == ("COMPLETED", 0, "")


def test_a_listing_error_is_an_error_and_not_an_empty_folder(tenant, tmp_path):
    pipeline = tenant.etl(tmp_path / "is-not-there", "gone")

    row = tenant.ended(tenant.platform.trigger(pipeline))

    assert row.status == "ERROR"
    assert row.error


def test_a_second_run_with_history_has_nothing_left_to_do(tenant, tmp_path):
    pipeline = tenant.etl(folder(tmp_path, {"a.txt": "x", "b.txt": "y"}), "twice", use_file_history=True)

    first = tenant.ended(tenant.platform.trigger(pipeline))
    again = tenant.ended(tenant.platform.trigger(pipeline))

    assert (first.total, again.total) == (2, 0)
    assert len(tenant.platform.destination_paths("twice")) == 2


def test_a_webhook_tells_of_the_end_once(tenant, tmp_path, stack, eventually):
    pipeline = tenant.etl(folder(tmp_path, {"a.txt": "x"}), "reported")
    path = f"/hooks/{tenant.platform.organization}"
    tenant.platform.notify(f"{stack.sink.url}{path}", pipeline_id=pipeline)

    row = tenant.ended(tenant.platform.trigger(pipeline))

    def deliveries():
        return [delivery for delivery in stack.sink.received() if delivery.path == path]

    eventually(lambda: bool(deliveries()))
    events = [event for delivery in deliveries() for event in json.loads(delivery.body)["events"]]
    assert [(event["execution_id"], event["status"]) for event in events] == [(row.id, "SUCCESS")]
