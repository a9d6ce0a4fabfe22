"""The request's fields, group by group, as the contract's table has them."""

import json

import pytest
from attrs import evolve

from unstract_worker_core.ledger import FileItem, RunContext
from unstract_worker_core.statuses import RunKind
from unstract_worker_file_processing.platform.request import (
    FilePaths,
    execution_metadata,
    extraction_request,
    output_name,
    shared_output_names,
)
from unstract_worker_file_processing.platform.tool import Tool, check_tool

CONTEXT = RunContext(
    "execution", "org_1", "workflow", RunKind.API, log_channel="session", tags=({"name": "may"},),
    custom_data={"customer": 7}, llm_profile_id="profile-1",
)  # fmt: skip
FILE = FileItem(1, "bill.v2.pdf", "unstract/api/bill.v2.pdf", file_execution_id="row")
PATHS = FilePaths("bucket/execution/org_1/workflow/execution/row")
OUTPUT = {"name": "total", "prompt": "What is the total?", "type": "text"}
SETTINGS = {"x2text_instance_id": "x2text-1", "llm": "llm-1", "summarize_prompt": "In short?"}
TOOL = Tool("invoices", {}, "tool-1", SETTINGS, (OUTPUT,), "the-key")


def metadata(context=CONTEXT):
    return execution_metadata(context, FILE, sha256="abc", workflow_start_time=5.0)


def request_of(tool=TOOL, context=CONTEXT):
    check_tool(tool)
    return extraction_request(context, FILE, tool, PATHS, metadata(context))


def params(**changes):
    return request_of(evolve(TOOL, **changes))["executor_params"]


def test_the_envelope_names_the_file_and_its_executor():
    request = request_of()
    request.pop("executor_params")

    assert request == {
        "executor_name": "legacy", "operation": "structure_pipeline", "execution_source": "tool", "run_id": "row",
        "request_id": "row", "organization_id": "org_1", "execution_id": "execution", "file_execution_id": "row",
        "log_events_id": "session",
    }  # fmt: skip


def test_the_text_is_extracted_from_infile():
    assert params()["extract_params"] == {
        "x2text_instance_id": "x2text-1", "file_path": f"{PATHS.folder}/INFILE", "enable_highlight": False,
        "output_file_path": f"{PATHS.folder}/EXTRACT", "platform_api_key": "the-key",
        "usage_kwargs": {"run_id": "row", "file_name": "bill.v2.pdf", "execution_id": "execution"},
        "tags": [{"name": "may"}], "tool_execution_metadata": metadata(), "execution_data_dir": PATHS.folder,
    }  # fmt: skip


def test_the_index_is_made_of_the_extracted_text():
    assert params()["index_template"] == {
        "tool_id": "tool-1", "file_hash": "abc", "is_highlight_enabled": False, "platform_api_key": "the-key",
        "extracted_file_path": f"{PATHS.folder}/EXTRACT",
    }  # fmt: skip


def test_the_questions_are_the_registrys():
    assert params()["answer_params"] == {
        "run_id": "row", "execution_id": "execution", "tool_settings": TOOL.settings, "outputs": [OUTPUT],
        "tool_id": "tool-1", "file_hash": "abc", "file_name": "bill.v2.pdf", "file_path": f"{PATHS.folder}/EXTRACT",
        "execution_source": "tool", "custom_data": {"customer": 7}, "PLATFORM_SERVICE_API_KEY": "the-key",
    }  # fmt: skip


def test_by_default_nothing_is_skipped_or_summarized():
    assert params()["pipeline_options"] == {
        "skip_extraction_and_indexing": False, "is_summarization_enabled": False, "is_single_pass_enabled": False,
        "input_file_path": f"{PATHS.folder}/INFILE", "source_file_name": "bill.v2.pdf",
    }  # fmt: skip
    assert params()["summarize_params"] is None


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("challenge_llm_adapter_id", "challenge_llm", "llm-2"),
        ("enable_challenge", "enable_challenge", True),
        ("single_pass_extraction_mode", "enable_single_pass_extraction", True),
        ("summarize_as_source", "summarize_as_source", True),
        ("enable_highlight", "enable_highlight", True),
        ("enable_word_confidence", "enable_word_confidence", True),
    ],
)
def test_a_setting_of_the_instance_goes_into_the_tools_settings(setting, name, value):
    found = params(instance={setting: value})["answer_params"]["tool_settings"]

    assert found == {**TOOL.settings, name: value}


def test_a_single_pass_is_an_option_of_the_pipeline():
    options = params(instance={"single_pass_extraction_mode": True})["pipeline_options"]

    assert options["is_single_pass_enabled"] is True


def test_highlighting_is_told_where_text_is_extracted_and_indexed():
    found = params(instance={"enable_highlight": True})

    assert found["extract_params"]["enable_highlight"] is True
    assert found["index_template"]["is_highlight_enabled"] is True


def test_a_summary_is_asked_for_and_read_in_place_of_the_text():
    found = params(instance={"summarize_as_source": True})

    assert found["summarize_params"] == {
        "llm_adapter_instance_id": "llm-1", "summarize_prompt": "In short?",
        "extract_file_path": f"{PATHS.folder}/EXTRACT", "summarize_file_path": f"{PATHS.folder}/SUMMARIZE",
        "platform_api_key": "the-key", "prompt_keys": ["total"],
    }  # fmt: skip
    assert found["answer_params"]["file_name"] == "SUMMARIZE"
    assert found["answer_params"]["file_path"] == f"{PATHS.folder}/SUMMARIZE"
    assert found["pipeline_options"]["is_summarization_enabled"] is True


@pytest.mark.parametrize(
    ("output", "skipped"),
    [
        ({"table_settings": {"x": 1}, "prompt": '{"sheet": 1}'}, True),
        ({"table_settings": {"x": 1}, "prompt": "which rows?"}, False),
        ({"table_settings": {"x": 1}, "prompt": "[1]"}, False),
        ({"table_settings": None, "prompt": '{"sheet": 1}'}, False),
    ],
)
def test_a_table_is_read_from_the_file_itself_if_its_prompt_is_an_object(output, skipped):
    found = params(outputs=({"name": "rows", **output},))

    assert found["pipeline_options"]["skip_extraction_and_indexing"] is skipped
    assert found["answer_params"]["file_path"].endswith("/INFILE" if skipped else "/EXTRACT")


def test_metadata_before_the_tool():
    assert metadata() == {
        "source_name": "bill.v2.pdf", "source_hash": "abc", "organization_id": "org_1", "workflow_id": "workflow",
        "execution_id": "execution", "file_execution_id": "row", "tags": [{"name": "may"}], "workflow_start_time": 5.0,
        "llm_profile_id": "profile-1", "custom_data": {"customer": 7},
    }  # fmt: skip
    plain = metadata(RunContext("e", "o", "w", RunKind.API))
    assert not {"llm_profile_id", "custom_data"} & plain.keys()


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("bill.v2.pdf", "bill.v2.json"), ("README", "README.json"), (".env", ".env.json"), ("größer.pdf", "größer.json"),
        ("../../etc/passwd.txt", "passwd.json"), ("..", "..json"),
    ],
)  # fmt: skip
def test_the_result_for_a_destination_is_named_after_the_files_stem(file_name, name):
    assert output_name(file_name) == name
    assert PATHS.output(name) == f"{PATHS.folder}/COPY_TO_FOLDER/{name}"


def test_results_of_one_run_that_would_overwrite_each_other_get_names_of_their_own():
    names = ["report.pdf", "report.docx", "a/report.pdf", "b/report.pdf", "report.pdf.txt", "other.pdf"]
    files = [FileItem(number, name, f"in/{number}") for number, name in enumerate(names, start=1)]

    found = shared_output_names(reversed(files))

    identity = files[3].identity
    assert [found.get(file.identity) for file in files] == [
        None, "report.docx.json", f"report.pdf.{files[2].identity}.json", f"report.pdf.{identity}.json", None, None,
    ]  # fmt: skip
    assert output_name("report.pdf.txt") == "report.pdf.json"


def test_a_request_is_json_and_a_tool_shows_no_key():
    assert json.loads(json.dumps(request_of())) == request_of()
    assert "the-key" not in repr(TOOL)
