import pytest


def test_some_files_fail_and_none_hides_another(tenant):
    tenant.api()
    files = [
        tenant.upload("a.txt", "Invoice\nTotal: 12.50\n"),
        tenant.upload("broken.pdf", b"%PDF-1.4 this is no pdf"),
        tenant.upload("b.csv", "item,price\npen,1\ncup,2\n"),
        tenant.upload("empty.txt", ""),
    ]

    row = tenant.run(files)

    assert (row.status, row.total, row.successful, row.failed) == ("COMPLETED", 4, 2, 2)
    items = {item["file"]: item for item in tenant.platform.results("extract", row.id).items}
    assert {name: item["status"] for name, item in items.items()} == {
        "a.txt": "Success",
        "broken.pdf": "Failed",
        "b.csv": "Success",
        "empty.txt": "Failed",
    }
    assert items["a.txt"]["result"]["output"]["fields"]["total"] == "12.50"
    assert items["broken.pdf"]["error"]
    assert tenant.terminal_writes(row.id) == ["COMPLETED"]


def test_all_files_fail(tenant):
    tenant.api()

    row = tenant.run([tenant.upload("x.pdf", b"%PDF nothing"), tenant.upload("y.pdf", b"%PDF neither")])

    assert (row.status, row.total, row.successful, row.failed) == ("ERROR", 2, 0, 2)
    assert "all 2 files failed" in row.error
    assert len(tenant.platform.results("extract", row.id).items) == 2


def test_one_file(tenant):
    tenant.api()

    row = tenant.run([tenant.upload("only.txt", "Total: 1")])

    assert (row.status, row.total, row.successful) == ("COMPLETED", 1, 1)


def test_files_that_do_not_divide_by_batches(tenant):
    tenant.platform.configure("MAX_PARALLEL_FILE_BATCHES", 3)
    tenant.api()

    row = tenant.run([tenant.upload(f"{number}.txt", f"Total: {number}") for number in range(7)])

    assert (row.status, row.total, row.successful, row.failed) == ("COMPLETED", 7, 7, 0)
    assert tenant.executed(row.id) == 7
    assert tenant.terminal_writes(row.id) == ["COMPLETED"]


def test_equal_files_are_worked_on_once_and_reported_each(tenant):
    tenant.api()

    row = tenant.run([tenant.upload("one.txt", "Total: 5"), tenant.upload("two.txt", "Total: 5")])

    assert (row.status, row.total, row.successful) == ("COMPLETED", 2, 2)
    items = tenant.platform.results("extract", row.id).items
    assert sorted(item["file"] for item in items) == ["one.txt", "two.txt"]
    assert len({item["file_execution_id"] for item in items}) == 1
    assert tenant.executed(row.id) == 1


def test_an_unsupported_type_is_refused_with_a_reason(tenant):
    tenant.api()

    row = tenant.run([tenant.upload("a.txt", "Total: 5"), tenant.upload("picture.png", b"\x89PNG\r\n\x1a\n....")])

    assert (row.status, row.total, row.successful, row.failed) == ("COMPLETED", 2, 1, 1)
    failed = [item for item in tenant.platform.results("extract", row.id).items if item["status"] == "Failed"]
    assert [item["file"] for item in failed] == ["picture.png"]
    assert "unsupported" in failed[0]["error"].lower()


def test_a_history_hit_is_returned_without_working_again(tenant):
    tenant.api(use_file_history=True)
    files = [tenant.upload("a.txt", "Total: 7")]

    first = tenant.run(files, history=True)
    again = tenant.run(files, history=True)

    assert (again.status, again.successful) == ("COMPLETED", 1)
    results = [tenant.platform.results("extract", run.id).items[0]["result"] for run in (first, again)]
    assert results[0]["output"] == results[1]["output"]
    assert (tenant.executed(first.id), tenant.executed(again.id)) == (1, 0)


def test_the_result_list_is_handed_out_once(tenant):
    from unstract_devstack.http_calls import CallFailed

    tenant.api()
    row = tenant.run([tenant.upload("a.txt", "Total: 7")])

    assert tenant.platform.results("extract", row.id).status == "COMPLETED"
    with pytest.raises(CallFailed):
        tenant.platform.results("extract", row.id)


def test_hundred_files_in_many_batches(tenant):
    tenant.platform.configure("MAX_PARALLEL_FILE_BATCHES", 16)
    tenant.api()

    row = tenant.run([tenant.upload(f"{number}.txt", f"Total: {number}") for number in range(100)])

    assert (row.status, row.total, row.successful) == ("COMPLETED", 100, 100)
    assert tenant.executed(row.id) == 100
    assert len(tenant.platform.results("extract", row.id).items) == 100
