"""What is gathered for a workflow: how often it is asked for, and what is refused before anything is sent."""

import re

import pytest
from attrs import evolve
from structlog.testing import capture_logs

from unstract_worker_core.errors import BackendRefused, BackendUnavailable, NotFound
from unstract_worker_file_processing.executor import FileFailed, NotNow

ORGANIZATION = "org_files"


def gather(bench, **changes):
    return bench.executor.gathering.tool(evolve(bench.context(), **changes))


def test_a_tool_is_gathered_once_a_workflow(make_platform_bench, service):
    bench = make_platform_bench()
    first = bench.platform.dev("GET", "requests?after=0")[-1]["id"]

    tools = {id(gather(bench)) for _ in range(32)}

    assert len(tools) == 1
    asked = [each["path"] for each in bench.platform.dev("GET", f"requests?after={first}")]
    assert [re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", path) for path in asked] == [
        "/internal/v1/workflow-manager/workflow/ID/tool-instances/", "/internal/v1/tool-execution/tool/tool-ID/",
        "/internal/v1/platform-settings/platform-key/",
    ]  # fmt: skip
    assert len(service.asked) == 1
    tool = gather(bench)
    assert (tool.settings["llm"], tool.outputs[0]["name"]) == ("llm-1", "total")


def test_a_profile_is_asked_for_and_replaces(make_platform_bench, service):
    bench = make_platform_bench()
    service.profiles["fast"] = {"llm": "llm-fast"}

    assert gather(bench, llm_profile_id="fast").settings["llm"] == "llm-fast"
    assert gather(bench).settings["llm"] == "llm-1"
    with pytest.raises(FileFailed, match="does not exist"):
        gather(bench, llm_profile_id="gone")


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"prompt_registry_id": "unknown"}, "platform-service does not know the tool.*export it again"),
        ({"prompt_registry_id": "agentic"}, "agentic project.*own file workers"),
        ({"prompt_registry_id": ""}, "not exported"),
        ({"image_name": "unstract/tool-classifier"}, "image unstract/tool-classifier, which only.*own file workers"),
        ({"prompt_registry_id": "empty"}, "no tool_metadata"),
        ({"prompt_registry_id": "settings"}, "tool_settings of the tool .* is not an object"),
        ({"prompt_registry_id": "outputs"}, "outputs of the tool .* is not a list"),
        ({"prompt_registry_id": "output"}, "an output of the tool .* is not an object"),
    ],
)
def test_what_cannot_be_served_is_refused_with_its_name_and_what_to_do(
    make_platform_bench, service, metadata, expected
):
    service.agentic["agentic"] = {"agentic_registry_id": "agentic"}
    service.tools["empty"] = {"prompt_registry_id": "empty"}
    for name, odd in {
        "settings": {"tool_settings": []},
        "outputs": {"outputs": 1},
        "output": {"outputs": ["x"]},
    }.items():
        service.tools[name] = {"tool_metadata": {"tool_id": "x", **odd}}
    bench = make_platform_bench(metadata=metadata)

    for _ in range(2):  # the second one is refused from the cache
        with pytest.raises(FileFailed, match=expected):
            gather(bench)


@pytest.mark.parametrize(("instances", "expected"), [(0, "no tool"), (2, "2 tools")])
def test_a_workflow_has_one_tool(make_platform_bench, make_bench, instances, expected):
    bench = make_platform_bench()
    other = make_bench()
    for _ in range(instances):
        body = {"organization_id": ORGANIZATION, "workflow_id": other.workflow_id, "tool_id": "x"}
        other.platform.dev("POST", "tool-instances", body)

    with pytest.raises(FileFailed, match=expected):
        gather(bench, workflow_id=other.workflow_id)


def test_a_tool_that_the_backend_makes_up_is_refused(make_platform_bench):
    bench = make_platform_bench()
    body = (
        '{"tool": {"tool_id": "x", "image_name": "unstract/tool-structure", "version": "unknown", "note": "made up"}}'
    )
    bench.platform.fault("/tool-execution/tool/", "body", body=body)

    with pytest.raises(FileFailed, match="does not know the tool x"):
        gather(bench)


def test_an_organization_without_a_key_is_refused_with_what_to_do(make_platform_bench):
    bench = make_platform_bench()
    bench.platform.fault("/platform-key/", "status", status=500, body='{"error": "Internal server error"}')

    with pytest.raises(FileFailed, match="no active platform key"):
        gather(bench)


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (500, '{"error": "connection to the database was lost"}', BackendUnavailable, "database was lost"),
        (500, '{"error": "Internal server error", "detail": "x"}', BackendRefused, "Internal server error: x"),
        (500, "<html></html>", BackendUnavailable, "internal error"),
        (404, '{"error": "Organization org_files not found"}', NotFound, "Organization org_files not found"),
        (401, '{"error": "Unauthorized"}', BackendRefused, "does not accept the API key"),
    ],
)
def test_another_error_is_no_missing_key_and_is_not_kept(make_platform_bench, status, body, error, text):
    bench = make_platform_bench()
    bench.platform.fault("/platform-key/", "status", status=status, body=body)

    with pytest.raises(error, match=text):
        gather(bench)
    bench.platform.heal()

    assert gather(bench).platform_key


@pytest.mark.parametrize("field", ["hitl_queue_name", "hitl_packet_id"])
def test_manual_review_is_refused(make_platform_bench, field):
    with pytest.raises(FileFailed, match="manual review"):
        gather(make_platform_bench(), **{field: "reviews"})


def test_manual_review_concerns_its_execution_alone(make_platform_bench):
    bench = make_platform_bench()
    with pytest.raises(FileFailed, match="manual review"):
        gather(bench, hitl_queue_name="reviews")

    assert gather(bench).outputs
    with pytest.raises(FileFailed, match="manual review"):
        gather(bench, hitl_queue_name="reviews")


def test_a_backend_that_is_away_is_waited_for(make_platform_bench):
    bench = make_platform_bench()
    bench.platform.fault("/tool-instances/", "status", status=503)

    with pytest.raises(BackendUnavailable):
        gather(bench)


@pytest.mark.parametrize("status", [301, 401, 403, 405, 429, 500, 502, 503])
def test_a_platform_service_that_fails_is_waited_for(make_platform_bench, service, status):
    bench = make_platform_bench()
    service.status = status

    with capture_logs() as logged, pytest.raises(NotNow, match=f"HTTP {status}") as caught:
        gather(bench)
    service.status = None

    refused = status in (401, 403)  # the key of one organization
    assert caught.value.shared is (not refused and status != 500)  # a 500 may be of one tool
    assert ("files wait: platform-service refuses a platform key" in repr(logged)) is refused
    assert (caught.value.delay_seconds >= 30) is refused

    assert gather(bench).name


def test_a_platform_service_that_is_away_is_waited_for(make_platform_bench):
    bench = make_platform_bench()
    bench.executor.gathering.service.base_url = "http://127.0.0.1:9"

    with pytest.raises(NotNow, match="PLATFORM_SERVICE_HOST"):
        gather(bench)
