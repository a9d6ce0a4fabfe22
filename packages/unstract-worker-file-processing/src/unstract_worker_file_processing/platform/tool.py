"""A workflow's tool, and what a request takes from it.

The contract names the request's fields and where most of them come from. Where it is silent, a rule that follows
from the contract's own words fills the gap, marked *Inferred*. A tool to which a rule has no clear answer is refused
with the reason, before anything is copied or sent.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from attrs import evolve, field, frozen

from unstract_worker_file_processing.executor import FileFailed

# A setting of the tool instance, and its name among the tool's settings.
_FROM_INSTANCE = {
    "challenge_llm_adapter_id": "challenge_llm",
    "enable_challenge": "enable_challenge",
    "single_pass_extraction_mode": "enable_single_pass_extraction",
    "summarize_as_source": "summarize_as_source",
    "enable_highlight": "enable_highlight",
    "enable_word_confidence": "enable_word_confidence",
}
# The settings that decide how a request is made.
_SWITCHES = ("enable_highlight", "enable_single_pass_extraction", "summarize_as_source")
# What makes an output this output. A profile replaces settings, never these.
_OUTPUT_ITSELF = frozenset({"name", "prompt", "prompt_key", "table_settings", "type"})
_ELSEWHERE = "leave this workflow to the platform's own file workers"


@frozen
class Tool:
    """A workflow's tool: its name, the settings of its instance, its registry entry and the platform's key."""

    name: str
    instance: dict[str, Any]
    tool_id: str
    settings: dict[str, Any]
    outputs: tuple[dict[str, Any], ...]
    platform_key: str = field(default="", repr=False)


def check_tool(tool: Tool) -> None:
    """Raise FileFailed for a tool whose request is not known, or not whole."""
    agentic = sum(_is_agentic_table(output) for output in tool.outputs)
    if agentic:
        what = "is sent on its own, and of that message only executor_name, operation and SOURCE are known"
        _refuse(tool, f"has {agentic} outputs of type agentic_table; such an output {what}", _ELSEWHERE)
    if not tool.outputs:
        _refuse(tool, "has no outputs", "export it again from Prompt Studio")
    extractor(tool)
    for name in _SWITCHES:
        if (value := settings_of(tool).get(name)) and value is not True:
            _refuse(tool, f"has the setting {name}, which is neither true nor false", f"set it again, or {_ELSEWHERE}")
    if settings_of(tool).get("summarize_as_source"):
        if reads_a_table(tool):
            _refuse(tool, "summarizes, and has a table whose text is not extracted", f"switch one off, or {_ELSEWHERE}")
        summarizer(tool)
        summary_prompt(tool)
        prompt_keys(tool)


def settings_of(tool: Tool) -> dict[str, Any]:
    """The registry's settings, with those of the tool instance over them."""
    instance = {name: tool.instance[setting] for setting, name in _FROM_INSTANCE.items() if setting in tool.instance}
    return {**tool.settings, **instance}


def extractor(tool: Tool) -> str:
    """The request's `x2text_instance_id`. Raises FileFailed.

    Inferred: it is the value of the settings, of the tool and of its outputs, whose name begins with `x2text`. A file
    is extracted once, so all of them must have the same value.
    """
    found = _named("x2text", settings_of(tool), *tool.outputs)
    return _only(tool, found, "text extractor", "x2text")


def summarizer(tool: Tool) -> str:
    """The request's `llm_adapter_instance_id`. Raises FileFailed.

    Inferred: the contract turns the instance's `challenge_llm_adapter_id` into the tool's `challenge_llm`, so what
    summarizes is the tool's `summarize_llm`, or else its `llm` (each with any ending). Summarizing is a setting of the
    tool; the outputs, whose models answer their own prompts, are looked at only where the tool names none.
    """
    settings = settings_of(tool)
    found = _named("summarize_llm", settings) or _named("llm", settings) or _named("llm", *tool.outputs)
    return _only(tool, found, "model to summarize with", "summarize_llm or llm")


def summary_prompt(tool: Tool) -> str:
    """The request's `summarize_prompt`. Raises FileFailed.

    Inferred: it is the tool's setting of that name.
    """
    prompt = tool.settings.get("summarize_prompt")
    if not isinstance(prompt, str) or not prompt:
        _refuse(tool, "summarizes, and has no setting summarize_prompt", f"write one, or {_ELSEWHERE}")
    return prompt


def prompt_keys(tool: Tool) -> list[str]:
    """The request's `prompt_keys`. Raises FileFailed.

    Inferred: each output's `prompt_key`, the singular of the field's name, or else its `name`.
    """
    keys = [output.get("prompt_key") or output.get("name") for output in tool.outputs]
    if not all(isinstance(key, str) for key in keys):
        reason = "summarizes, and an output has neither prompt_key nor name"
        _refuse(tool, reason, f"switch summarizing off, or {_ELSEWHERE}")
    return [str(key) for key in keys]


def reads_a_table(tool: Tool) -> bool:
    """Whether an output has `table_settings` and its `prompt` is a JSON object: then no text is extracted."""
    return any(output.get("table_settings") and _is_object(output.get("prompt")) for output in tool.outputs)


def with_profile(tool: Tool, profile: Mapping[str, Any]) -> Tool:
    """The tool with a profile's values in place of its own. Raises FileFailed for one that replaces nothing.

    Inferred: the contract does not say what a profile looks like. Each of its values replaces the settings of exactly
    that name, of the tool and of its outputs; it adds none.
    """
    values = {name: value for name, value in profile.items() if value is not None and name not in _OUTPUT_ITSELF}
    known = set(tool.settings).union(*tool.outputs)
    if not known & values.keys():
        names = ", ".join(sorted(map(str, profile))) or "nothing"
        reason = f"has none of the settings that the profile (llm_profile_id) names: {names}"
        _refuse(tool, reason, f"ask without a profile, or {_ELSEWHERE}")

    def replaced(settings: dict[str, Any]) -> dict[str, Any]:
        return {name: values.get(name, value) for name, value in settings.items()}

    return evolve(tool, settings=replaced(tool.settings), outputs=tuple(map(replaced, tool.outputs)))


def _named(prefix: str, *places: Mapping[str, Any]) -> dict[str, set[str]]:
    """The values of the settings whose name begins so, each with these names."""
    found: dict[str, set[str]] = {}
    for settings in places:
        for name, value in settings.items():
            if name.lower().startswith(prefix) and isinstance(value, str) and value:
                found.setdefault(value, set()).add(name)
    return found


def _only(tool: Tool, found: Mapping[str, Iterable[str]], what: str, prefix: str) -> str:
    if not found:
        reason = f"names no {what}: neither it nor an output has a setting that begins with {prefix}"
        _refuse(tool, reason, f"export it again from Prompt Studio, or {_ELSEWHERE}")
    if len(found) > 1:
        names = ", ".join(sorted(set().union(*found.values())))
        reason = f"names {len(found)} different values as its {what} ({names}), and a request takes one"
        _refuse(tool, reason, f"give all its prompts the same, or {_ELSEWHERE}")
    return next(iter(found))


def _refuse(tool: Tool, reason: str, advice: str) -> NoReturn:
    raise FileFailed(f"the tool {tool.name} {reason}: {advice}")


def _is_agentic_table(output: Mapping[str, Any]) -> bool:
    """Whether an output is of this type. Inferred: the field that says so is `type`, or its name ends so."""
    return any(value == "agentic_table" and name.lower().endswith("type") for name, value in output.items())


def _is_object(text: object) -> bool:
    try:
        return isinstance(text, dict) or (isinstance(text, str) and isinstance(json.loads(text), dict))
    except (ValueError, RecursionError):
        return False
