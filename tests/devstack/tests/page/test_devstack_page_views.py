"""What the page shows, and that nothing it shows can act."""

import json
import re
import time
from html.parser import HTMLParser

from attrs import evolve

from unstract_devstack.http_calls import CallFailed
from unstract_devstack.page.views import execution_view, overview, page
from unstract_devstack.sink import Delivery

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>\r\n\u202e.pdf"


class Tags(HTMLParser):
    """The tags of a page as a browser sees them."""

    def __init__(self):
        super().__init__()
        self.names, self.attributes, self.scripts = set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "script":
            self.scripts.append(dict(attrs))


def hook(execution_id: str, **body: str) -> Delivery:
    return Delivery("POST", "/hooks/api", {}, json.dumps({"execution_id": execution_id, **body}).encode(), time.time())


def seen(html: str) -> str:
    """The text of a page, its tags taken away."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_nothing_that_is_shown_is_markup(scene):
    execution_id = scene.execution("ERROR", title=HOSTILE, error_message=HOSTILE)
    file_id = scene.file(execution_id, HOSTILE, result={"output": HOSTILE}, summary=HOSTILE)
    scene.file(execution_id, HOSTILE, "ERROR", execution_error=HOSTILE)
    scene.effect(execution_id, "files.execute", file_id, status=HOSTILE)
    scene.effect(execution_id, "executions.update_status", None, status=HOSTILE)
    scene.run(execution_id, last_error=HOSTILE, owner=HOSTILE, state=HOSTILE, **{HOSTILE: HOSTILE})
    scene.run(HOSTILE, task=HOSTILE)
    scene.redis.hset(f"uw:{{{execution_id}}}:leases", "0", json.dumps({"owner": HOSTILE}))
    scene.redis.lpush("uw:dead_letters", json.dumps({"task": HOSTILE, "reason": HOSTILE}), HOSTILE)
    scene.logged.append({"execution_id": execution_id, "log": HOSTILE, "level": HOSTILE, "timestamp": HOSTILE})
    scene.delivered.append(hook(execution_id, status=HOSTILE, pipeline_name=HOSTILE))
    scene.delivered.append(hook(HOSTILE))
    sources = scene.sources()
    shown = [overview(sources), execution_view(sources, execution_id)]
    for view in shown:
        html = page(sources, view)
        assert "&lt;script&gt;alert" in html
        tags = Tags()
        tags.feed(html)
        assert tags.scripts == [{"src": "/static/page.js", "defer": None}]
        assert "img" not in tags.names
        # Not by an attribute either: what the policy forbids is not there to be tried.
        assert not any(name == "style" or name.startswith("on") for name in tags.attributes)


def test_an_execution_tells_its_files_its_run_and_what_happened(scene):
    execution_id = scene.execution(successful_files=1, failed_files=1, total_files=2, execution_time=3.5)
    good = {"result": {"output": {}}, "summary": "total 9.00, people A, B, 2 rows"}
    file_id = scene.file(execution_id, "good.csv", file_path="inbox/good.csv", file_size=2048, **good)
    scene.file(execution_id, "bad.pdf", "ERROR", execution_error="it is corrupt")
    scene.effect(execution_id, "executions.update_status", None, before="PENDING", status="EXECUTING")
    scene.effect(execution_id, "files.update_status", file_id, before="PENDING", status="COMPLETED")
    scene.logged += [
        {"execution_id": execution_id, "log": "Files: 2", "timestamp": 1.0},
        {"execution_id": "another"},
        7,
    ]
    scene.delivered.append(hook(execution_id, status="COMPLETED"))
    view = execution_view(scene.sources(), execution_id)
    text = {name: seen(html) for name, html in view.fragments.items()}
    assert "good.csv and 1 more COMPLETED" in text["execution"]
    assert "2 /2" in text["execution"]
    assert "3.50 s" in text["execution"]
    assert "inbox/good.csv total 9.00, people A, B, 2 rows JSON 2.0 KiB" in text["files"]
    assert "bad.pdf it is corrupt" in text["files"]
    assert "the ledger knows no run" in text["run"].lower()
    assert re.search(
        r"Events 3 .*worker Files: 2.*backend executions.update_status PENDING → EXECUTING", text["events"]
    )
    assert "webhook /hooks/api: COMPLETED" in text["events"]
    assert "files.update_status PENDING → COMPLETED good.csv" in text["events"]


def test_a_running_execution_counts_the_files_that_ended(scene):
    execution_id = scene.execution("EXECUTING", total_files=3)
    scene.file(execution_id, "a", "COMPLETED")
    scene.file(execution_id, "b", "ERROR")
    scene.file(execution_id, "c", "EXECUTING")
    (line,) = scene.sources().backend.executions(before=None, limit=5)
    assert [line[name] for name in ("ended", "failed", "total", "seconds")] == [2, 1, 3, None]


def test_the_newest_result_of_a_file_is_the_one_shown(scene):
    execution_id = scene.execution()
    file_id = scene.file(execution_id, "a", result={"output": {}}, summary="total 1.00")
    backend = scene.sources().backend
    assert backend.files(execution_id, limit=5)[0]["summary"] == "total 1.00"
    row = {"execution_id": execution_id, "file_execution_id": file_id, "status": "success"}
    scene.database.insert("results", result='{"output": 2}', summary="total 2.00", **row)
    (file,) = backend.files(execution_id, limit=5)
    assert (file["summary"], file["has_result"]) == ("total 2.00", 1)
    assert backend.result(execution_id, file_id) == '{"output": 2}'


def test_a_backend_that_tells_no_log_events_is_told(scene):
    execution_id = scene.execution()

    def refuse(channel: str) -> list[object]:
        raise CallFailed("GET /dev/logs: connection refused")

    view = execution_view(evolve(scene.sources(), log_events=refuse), execution_id)
    assert "does not give log events: GET /dev/logs: connection refused" in view.fragments["events"]


def test_a_thousand_executions_are_shown_fifty_at_a_time(scene):
    with scene.database.write():
        ids = [scene.execution() for _ in range(1000)]
    sources = scene.sources()
    found: list[str] = []
    before = None
    for _ in range(20):
        html = overview(sources, before).fragments["executions"]
        assert len(html) < 60_000
        found += re.findall(r'<tr id="e-([^"]+)"', html)
        older = re.search(r'href="/\?before=(\d+)"', html)
        before = int(older[1]) if older else None
    assert before is None
    assert found == ids[::-1]
    assert "1,000" in overview(sources).fragments["totals"]


def test_there_is_nothing_to_show_of_what_is_not_there(scene):
    assert execution_view(scene.sources(), "no-such-execution") is None
    html = page(scene.sources(), overview(scene.sources()))
    assert "Nothing has run yet" in html
    assert "None arrived" in html
