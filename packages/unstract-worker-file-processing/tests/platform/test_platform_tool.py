"""What a request takes from a tool where the contract is silent, and the refusals where no clear answer is."""

import pytest
from attrs import evolve

from unstract_worker_file_processing.executor import FileFailed
from unstract_worker_file_processing.platform.tool import (
    Tool,
    check_tool,
    extractor,
    prompt_keys,
    reads_a_table,
    summarizer,
    with_profile,
)

OUTPUT = {"name": "total", "prompt": "What is the total?", "type": "text"}
SUMMARIZES = {"summarize_as_source": True}
TOOL = Tool("invoices", {}, "tool-1", {"x2text_instance_id": "x", "llm": "m", "summarize_prompt": "Short?"}, (OUTPUT,))


def tool(**changes):
    return evolve(TOOL, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"settings": {"x2text_of_a_release_to_come": "x"}},
        {"settings": {}, "outputs": ({**OUTPUT, "x2text": "x"}, OUTPUT)},
        {"outputs": ({**OUTPUT, "X2Text-1": "x"},)},
    ],
)
def test_the_extractor_is_what_a_setting_names_that_begins_with_x2text(changes):
    assert extractor(tool(**changes)) == "x"


@pytest.mark.parametrize(
    ("settings", "output", "named"),
    [
        ({"summarize_llm": "s", "llm": "m"}, {}, "s"),
        ({"challenge_llm": "c", "llm_adapter_instance_id": "m"}, {"llm": "other"}, "m"),
        ({}, {"llm": "m"}, "m"),
    ],
)
def test_what_summarizes_is_the_tools_model_before_that_of_its_outputs(settings, output, named):
    assert summarizer(tool(settings=settings, outputs=({**OUTPUT, **output},))) == named


def test_prompt_keys_are_those_of_the_outputs():
    assert prompt_keys(tool(outputs=(OUTPUT, {"prompt_key": "date", "name": "a date"}))) == ["total", "date"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"outputs": ({"type": "agentic_table"}, OUTPUT)}, "1 outputs of type agentic_table.*own file workers"),
        ({"outputs": ({"output_type": "agentic_table"}, OUTPUT)}, "1 outputs of type agentic_table"),
        ({"instance": {"enable_highlight": "false"}}, "setting enable_highlight, which is neither true nor false"),
        ({"instance": {"single_pass_extraction_mode": {"on": 1}}}, "enable_single_pass_extraction, which is neither"),
        ({"outputs": ()}, "no outputs: export it again"),
        ({"settings": {"llm": "m"}}, "invoices names no text extractor: .* begins with x2text: export it again"),
        ({"settings": {"x2text": ""}}, "no text extractor"),
        (
            {"settings": {"x2text_a": "x", "x2text_b": "y"}},
            r"2 different values as its text extractor \(x2text_a, x2text_b\).*give all its prompts the same",
        ),
        ({"outputs": ({**OUTPUT, "x2text": "another"},)}, "2 different values as its text extractor"),
        ({"instance": SUMMARIZES, "settings": {"x2text": "x", "summarize_prompt": "?"}}, "no model to summarize with"),
        (
            {"instance": SUMMARIZES, "settings": {**TOOL.settings, "llm_2": "n"}},
            r"2 different values as its model to summarize with \(llm, llm_2\)",
        ),
        ({"instance": SUMMARIZES, "settings": {"x2text": "x", "llm": "m"}}, "no setting summarize_prompt"),
        ({"instance": SUMMARIZES, "outputs": ({"prompt": "?"},)}, "neither prompt_key nor name"),
        (
            {"instance": SUMMARIZES, "outputs": ({**OUTPUT, "table_settings": {"x": 1}, "prompt": '{"sheet": 1}'},)},
            "summarizes, and has a table whose text is not extracted",
        ),
    ],
)
def test_a_tool_without_a_clear_answer_is_refused_with_the_reason(changes, expected):
    check_tool(TOOL)
    with pytest.raises(FileFailed, match=expected):
        check_tool(tool(**changes))


@pytest.mark.parametrize("name", ["name", "prompt", "prompt_key", "description"])
def test_an_output_that_only_mentions_agentic_tables_is_served(name):
    check_tool(tool(outputs=({**OUTPUT, name: "agentic_table"},)))


def test_a_prompt_that_is_nested_without_end_is_no_object():
    assert not reads_a_table(tool(outputs=({**OUTPUT, "table_settings": {"x": 1}, "prompt": "[" * 5_000},)))


def test_a_profile_replaces_the_settings_of_exactly_its_names_and_adds_none():
    named = tool(outputs=({**OUTPUT, "some-size": 5},))
    profile = {"llm": "new", "x2text_instance_id": None, "some-size": 0, "some_size": 9, "name": "mine", "prompt": "?"}

    found = with_profile(named, profile)

    assert found.settings == {**TOOL.settings, "llm": "new"}
    assert found.outputs == ({**OUTPUT, "some-size": 0},)


def test_a_profile_that_names_nothing_of_the_tool_is_refused_with_what_it_names():
    with pytest.raises(FileFailed, match=r"invoices has none .*llm_profile_id.*: colour, name: ask without a profile"):
        with_profile(TOOL, {"name": "mine", "colour": "blue"})
