"""What counts as expected: every difference is found and described."""

import io
import json
from typing import Any

import pytest
from attrs import evolve
from rich.console import Console

from unstract_devstack.demo.judge import judge_own_files, judge_rows, judge_samples, judge_webhooks
from unstract_devstack.demo.report import ExecutionOutcome, FileOutcome, Report, show
from unstract_devstack.samples import ExpectedFile

EXPECTED = {
    "a.txt": ExpectedFile("Success", {"n": "1"}, contains="whole"),
    "b.pdf": ExpectedFile("Failed", {}, error="corrupt"),
}
GOOD_FILE = FileOutcome("a.txt", "Success", None, {"text": "the whole text", "fields": {"n": "1"}}, 0.25)
BAD_FILE = FileOutcome("b.pdf", "Failed", "it is Corrupt", None)
OUTCOME = ExecutionOutcome(
    id="e1",
    title="Some run",
    kind="api",
    status="COMPLETED",
    total=2,
    successful=1,
    failed=1,
    callbacks=1,
    seconds=1.5,
    files=(GOOD_FILE, BAD_FILE),
)


def test_the_expected_outcome_has_no_problems() -> None:
    assert judge_samples(OUTCOME, EXPECTED) == []
    assert judge_own_files(OUTCOME) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"status": "ERROR"}, "status is ERROR instead of COMPLETED"),
        ({"total": 3}, "total is 3 instead of 2"),
        ({"successful": 2}, "successful is 2 instead of 1"),
        ({"failed": 0}, "failed is 0 instead of 1"),
        ({"callbacks": 0}, "callbacks is 0 instead of 1"),
        ({"callbacks": 2}, "callbacks is 2 instead of 1"),
        ({"files": (GOOD_FILE,)}, "b.pdf: no outcome"),
        ({"files": (GOOD_FILE, BAD_FILE, BAD_FILE)}, "b.pdf: 2 outcomes"),
        ({"files": (GOOD_FILE, BAD_FILE, evolve(BAD_FILE, name="c"))}, "c: not expected"),
        ({"files": (evolve(GOOD_FILE, status="Failed", error="x"), BAD_FILE)}, "a.txt: Failed instead of Success (x)"),
        ({"files": (GOOD_FILE, evolve(BAD_FILE, error="gone"))}, "b.pdf: the reason is 'gone', without 'corrupt'"),
        ({"files": (GOOD_FILE, evolve(BAD_FILE, error=None))}, "b.pdf: the reason is None, without 'corrupt'"),
        (
            {"files": (evolve(GOOD_FILE, result={"text": "the whole"}), BAD_FILE)},
            "a.txt: the fields are None instead of {'n': '1'}",
        ),
        (
            {"files": (evolve(GOOD_FILE, result={"text": "half", "fields": {"n": "1"}}), BAD_FILE)},
            "a.txt: the result does not hold 'whole'",
        ),
    ],
)
def test_each_difference_is_told(change: dict[str, Any], problem: str) -> None:
    assert judge_samples(evolve(OUTCOME, **change), EXPECTED) == [problem]


def test_own_files_need_an_end_and_a_result_or_a_reason() -> None:
    silent = FileOutcome("c.txt", "Failed", None, None)
    open_run = evolve(OUTCOME, status="EXECUTING", files=(GOOD_FILE, silent, evolve(silent, error="")))
    assert judge_own_files(open_run) == [
        "it has not ended, its status is EXECUTING",
        *["c.txt: neither a result nor a reason"] * 2,
    ]


def test_webhooks_and_rows_are_counted() -> None:
    other = evolve(OUTCOME, id="e2", title="Other run")
    assert judge_webhooks(["e1", "e2"], [OUTCOME, other]) == []
    assert judge_webhooks(["e2", "e2", "e3"], [OUTCOME, other]) == [
        "Some run: announced by 0 webhook events instead of 1",
        "Other run: announced by 2 webhook events instead of 1",
    ]
    assert judge_rows(["a.txt"], EXPECTED) == []
    assert judge_rows(["a.txt", "a.txt", "b.pdf"], EXPECTED) == [
        "a.txt: 2 rows in the destination instead of 1",
        "b.pdf: 1 rows in the destination instead of 0",
    ]
    assert judge_rows([], EXPECTED) == ["a.txt: 0 rows in the destination instead of 1"]


def test_the_report_as_json() -> None:
    report = Report(webhooks=["one"], seconds=12.3456)
    report.add(OUTCOME, [])
    assert json.loads(json.dumps(report.as_json())) == {
        "ok": True,
        "seconds": 12.35,
        "executions": [
            {"id": "e1", "kind": "api", "status": "COMPLETED", "total": 2, "successful": 1, "failed": 1, "callbacks": 1}
        ],
        "webhooks_delivered": 1,
        "files": [
            {"name": "a.txt", "status": "Success", "error": None, "result": GOOD_FILE.result},
            {"name": "b.pdf", "status": "Failed", "error": "it is Corrupt", "result": None},
        ],
    }
    report.add(OUTCOME, ["something"])
    assert report.problems == ["Some run: something"]
    assert report.as_json()["ok"] is False


def test_the_tables_show_everything() -> None:
    report = Report(webhooks=["/hooks/api: documents COMPLETED"], seconds=3.0)
    report.add(evolve(OUTCOME, files=(GOOD_FILE, evolve(BAD_FILE, name="[red]b.pdf"))), ["[bold]odd"])
    report.files.append(FileOutcome("never-sent.txt", "Failed", "not sent: gone", None))
    output = io.StringIO()
    show(Console(file=output, width=160), report)
    text = output.getvalue()
    for part in (
        "Some run",
        "a.txt",
        "n: 1, 14 characters of text",
        "0.25",
        "[red]b.pdf",
        "it is Corrupt",
        "never-sent.txt",
        "not sent: gone",
        "e1",
        "/hooks/api: documents COMPLETED",
        "Not as expected: Some run: [bold]odd",
        "1 problem(s), 3.0 s.",
    ):
        assert part in text
