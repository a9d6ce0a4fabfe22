"""Who is answered by the page, and how."""

import http.client
import json
import socket
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from attrs import evolve

from unstract_devstack.http_calls import CallFailed
from unstract_devstack.page import running_page
from unstract_devstack.page.backend_rows import BackendRows
from unstract_devstack.page.server import Bounds
from unstract_devstack.processes import wait_until

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'"


def ask(handle, method="GET", path="/", body=None, **headers):
    """Status, headers and text of one answer; a header's underscores are dashes, and None leaves it out."""
    target = urlsplit(handle.url)
    connection = http.client.HTTPConnection(target.hostname, target.port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True)
        for name, value in {"Host": target.netloc, **headers}.items():
            if value is not None:
                connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def own(handle):
    return handle.url.rstrip("/")


@pytest.mark.parametrize("path", ["/", "/executions/none", "/static/page.css", "/static/page.js", "/nowhere"])
def test_every_answer_carries_the_policy(served, path):
    _, headers, _ = ask(served, path=path)
    assert headers["Content-Security-Policy"].startswith(POLICY)
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/static/page.css", "text/css"), ("/static/page.js", "text/javascript"), ("/static/page.svg", "image/svg+xml")],
)
def test_the_files_that_it_needs_are_its_own(served, path, kind):
    status, headers, text = ask(served, path=path)
    assert (status, headers["Content-Type"].split(";")[0]) == (200, kind)
    assert text


@pytest.mark.parametrize(
    "path",
    ["/nowhere", "/executions/", "/executions/none", "/executions/%3Cscript%3E", "/static/../server.py", "/static/"],
)
def test_what_is_not_there_is_not_found(served, path):
    status, _, text = ask(served, path=path)
    assert status == 404
    assert "<script>" not in text


@pytest.mark.parametrize("before", ["", "x", "-1", "1" * 40, "%00", "<script>"])
def test_a_number_that_is_none_shows_the_newest(served, scene, before):
    execution_id = scene.execution()
    status, _, text = ask(served, path=f"/?before={before}")
    assert status == 200
    assert execution_id in text


def test_it_listens_on_loopback_and_answers_to_its_own_name_only(served):
    port = urlsplit(served.url).port
    assert ask(served, Host=f"localhost:{port}")[0] == 200
    for name in ("evil.example", f"evil.example:{port}", "127.0.0.1", None):
        assert ask(served, Host=name)[0] == (421 if name else 400)
        assert ask(served, path="/live/", Host=name)[0] == (421 if name else 400)


def test_a_button_starts_and_leads_to_what_it_started(served, scene):
    scene.start = lambda: scene.started.append("x") or "e1"
    status, headers, _ = ask(served, "POST", "/start/api", Origin=own(served), Sec_Fetch_Site="same-origin")
    assert (status, headers["Location"], scene.started) == (303, "/#e-e1", ["x"])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "https://{own}"},
        {"Origin": "http://{own}", "Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://{own}", "Sec_Fetch_Site": "same-site"},
        {"Origin": "http://{own}", "Host": "evil.example"},
        {"Origin": "http://evil.example", "Host": "evil.example"},
    ],
)
def test_nobody_else_can_press_a_button(served, scene, headers):
    scene.start = lambda: scene.started.append("x") or "e1"
    reported = {name: value.format(own=urlsplit(served.url).netloc) for name, value in headers.items()}
    assert ask(served, "POST", "/start/api", **reported)[0] in {403, 421}
    assert ask(served, "GET", "/start/api")[0] == 404
    assert scene.started == []


def test_a_start_that_the_backend_refuses_is_told(served, scene):
    def refuse():
        raise CallFailed("the files were refused: <b>no</b>")

    scene.start = refuse
    status, _, text = ask(served, "POST", "/start/api", Origin=own(served))
    assert status == 502
    assert "the files were refused: &lt;b&gt;no&lt;/b&gt;" in text
    assert ask(served, "POST", "/start/other", Origin=own(served))[0] == 404


@pytest.mark.parametrize("length", ["1025", "-1", "9" * 30, "x"])
def test_a_body_is_not_taken(served, length):
    assert ask(served, "POST", "/start/api", Origin=own(served), Content_Length=length)[0] in {400, 413}


def test_a_connection_too_many_is_not_served(scene):
    with running_page(scene.sources(), bounds=Bounds(connections=1)) as handle:
        target = urlsplit(handle.url)
        with socket.create_connection((target.hostname, target.port)) as first:
            first.settimeout(20)
            first.sendall(f"GET / HTTP/1.1\r\nHost: {target.netloc}\r\n\r\n".encode())
            assert first.recv(12) == b"HTTP/1.1 200"
            assert ask(handle)[0] == 503
        assert wait_until(lambda: ask(handle)[0] == 200, seconds=20)


def test_a_head_has_no_body(served):
    status, headers, text = ask(served, "HEAD")
    assert (status, text) == (200, "")
    assert int(headers["Content-Length"]) > 500
    assert ask(served, "HEAD", "/live/")[0] == 404


def test_the_page_has_all_of_the_lists(served, scene):
    execution_id = scene.execution()
    text = ask(served)[2]
    assert f'<a href="/executions/{execution_id}">' in text
    assert 'data-live="/live/"' in text
    assert "general" in text
    assert json.dumps(None) not in text


def test_a_database_that_cannot_be_read_is_told(scene):
    sources = evolve(scene.sources(), backend=BackendRows(scene.database.path.with_name("gone.sqlite3")))
    with running_page(sources) as handle:
        status, _, text = ask(handle)
        assert status == 503
        assert "database cannot be read" in text
        assert ask(handle, path="/live/")[2].startswith("retry: ")


def test_uploaded_files_are_sent_and_lead_to_what_they_started(scene):
    sent = []
    sources = evolve(scene.sources(), upload=lambda files: sent.extend(files) or "e1")
    with running_page(sources) as handle:
        origin = {"origin": own(handle), "sec-fetch-site": "same-origin"}
        parts = [("files", ("a <b>.txt", b"one")), ("files", ("b.txt", b""))]
        answer = httpx.post(f"{handle.url}upload", files=parts, headers=origin, trust_env=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/#e-e1")
        assert sent == [("a <b>.txt", b"one"), ("b.txt", b"")]
        assert httpx.post(f"{handle.url}upload", files=parts, trust_env=False).status_code == 403
        none = httpx.post(f"{handle.url}upload", files={"files": ("", b"")}, headers=origin, trust_env=False)
        assert none.status_code == 400
        assert len(sent) == 2


def test_an_upload_that_is_too_large_is_refused(scene):
    sources = evolve(scene.sources(), upload=lambda files: "e1")
    with running_page(sources, bounds=Bounds(upload_bytes=2000)) as handle:
        headers = {"origin": own(handle)}
        answer = httpx.post(
            f"{handle.url}upload", files={"files": ("a", b"x" * 3000)}, headers=headers, trust_env=False
        )
        assert answer.status_code == 413


def test_retry_and_abort_are_asked_of_the_execution(scene):
    asked = []
    actions = {
        "retry": lambda line: asked.append(("retry", line["id"])) or "e2",
        "abort": lambda line: asked.append(("abort", line["id"])),
    }
    ended, running = scene.execution("ERROR"), scene.execution("EXECUTING")
    with running_page(evolve(scene.sources(), actions=actions)) as handle:
        for execution_id, action, place in ((ended, "retry", "/#e-e2"), (running, "abort", f"/executions/{running}")):
            path = f"/executions/{execution_id}/{action}"
            assert f'action="{path}"' in ask(handle, path=f"/executions/{execution_id}")[2]
            assert ask(handle, "POST", path)[0] == 403
            status, headers, _ = ask(handle, "POST", path, Origin=own(handle))
            assert (status, headers["Location"]) == (303, place)
        assert asked == [("retry", ended), ("abort", running)]
        for path in ("/executions/none/retry", f"/executions/{ended}/delete"):
            assert ask(handle, "POST", path, Origin=own(handle))[0] == 404


def test_a_result_is_shown_as_json_and_can_be_downloaded(served, scene):
    execution_id = scene.execution()
    file_id = scene.file(execution_id, "a.txt", result={"output": {"name": "<b>ü</b>"}})
    path = f"/executions/{execution_id}/files/{file_id}"
    assert f'href="{path}"' in ask(served, path=f"/executions/{execution_id}")[2]
    status, _, text = ask(served, path=path)
    assert status == 200
    assert "&#34;name&#34;: &#34;&lt;b&gt;ü&lt;/b&gt;&#34;" in text
    assert "data-live" not in text
    status, headers, text = ask(served, path=f"{path}/result.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(text) == {"output": {"name": "<b>ü</b>"}}
    for missing in (f"/executions/{execution_id}/files/none", f"/executions/{execution_id}/files/none/result.json"):
        assert ask(served, path=missing)[0] == 404


FOUND = {"invoice": "one", "ERR": "two", "50%": "three", "_": "", "no such": "", "weird": "two", "über": "two", "": "all"}  # fmt: skip


@pytest.mark.parametrize(("search", "found"), FOUND.items())
def test_executions_are_found_by_file_status_and_error(served, scene, search, found):
    ids = {
        "one": scene.execution(title="extract"),
        "two": scene.execution("ERROR", title="extract", error_message="a weird fault"),
        "three": scene.execution(title="extract"),
    }
    scene.file(ids["one"], "Invoice 17.pdf")
    scene.file(ids["two"], "ÜBERSICHT.txt")
    scene.file(ids["three"], "50% off.txt")
    text = ask(served, path="/?" + urlencode({"q": search}))[2]
    shown = {name for name, execution_id in ids.items() if f'id="e-{execution_id}"' in text}
    assert shown == (set(ids) if found == "all" else {found} - {""})
    assert f'id="e-{ids["one"]}"' in ask(served, path=f"/?q={ids['one'][:8]}")[2]


def test_an_upload_is_named_by_its_files(served, scene):
    execution_id = scene.execution(title="extract", total_files=3)
    scene.file(execution_id, "first.pdf")
    scene.file(execution_id, "second.pdf")
    text = ask(served)[2]
    assert "<bdi>first.pdf and 2 more</bdi>" in text
    assert "<bdi>extract</bdi>" in text
