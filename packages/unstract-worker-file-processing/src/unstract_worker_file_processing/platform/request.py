"""The message to the platform's executor, and what a tool's registry entry must say for it. Pure functions of values.

Field names are the platform's. What is not known of a tool's kind is refused with the reason, before anything is sent.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from unstract_worker_core.ledger import FileItem, RunContext
from unstract_worker_file_processing.executor import FileFailed

__all__ = ["FilePaths", "Tool", "check_tool", "execution_metadata", "extraction_request", "with_profile"]

_FROM_INSTANCE = {
    "challenge_llm_adapter_id": "challenge_llm",
    "enable_challenge": "enable_challenge",
    "single_pass_extraction_mode": "enable_single_pass_extraction",
    "summarize_as_source": "summarize_as_source",
    "enable_highlight": "enable_highlight",
    "enable_word_confidence": "enable_word_confidence",
}
# A profile's fields and the settings that they replace, each by the names that exports and profiles use.
_LLM = ("llm", "llm_id")
_X2TEXT = ("x2text_adapter", "x2text", "x2text_id")
_PROFILE: tuple[tuple[str, ...], ...] = (
    _LLM,
    _X2TEXT,
    ("vector_db", "vector_store", "vector_store_id"),
    ("embedding", "embedding_model", "embedding_model_id"),
    ("chunk_size",),
    ("chunk_overlap",),
    ("retrieval_strategy",),
    ("similarity_top_k",),
    ("section",),
)


@frozen
class Tool:
    """A workflow's tool: its name, the settings of its instance, its registry entry and the platform's key."""

    name: str
    instance: dict[str, Any]
    tool_id: str
    settings: dict[str, Any]
    outputs: tuple[dict[str, Any], ...]
    platform_key: str = field(default="", repr=False)


@frozen
class FilePaths:
    """The folder of one file in the store of executions, and what lies in it."""

    folder: str

    @property
    def source(self) -> str:
        """The original, which nothing changes."""
        return f"{self.folder}/SOURCE"

    @property
    def infile(self) -> str:
        """What the executor reads; for ETL the result afterwards."""
        return f"{self.folder}/INFILE"

    @property
    def metadata(self) -> str:
        """What is known of the file, as JSON."""
        return f"{self.folder}/METADATA.json"

    @property
    def extract(self) -> str:
        """The extracted text."""
        return f"{self.folder}/EXTRACT"

    @property
    def summary(self) -> str:
        """The summarized text."""
        return f"{self.folder}/SUMMARIZE"

    def output(self, file_name: str) -> str:
        """The result for a file-system destination."""
        stem = file_name.rpartition(".")[0] or file_name
        return f"{self.folder}/COPY_TO_FOLDER/{stem}.json"


def execution_metadata(
    context: RunContext, file: FileItem, *, sha256: str, workflow_start_time: float
) -> dict[str, Any]:
    """METADATA.json before the tool runs."""
    optional = {"llm_profile_id": context.llm_profile_id, "custom_data": context.custom_data}
    return {
        "source_name": file.name,
        "source_hash": sha256,
        "organization_id": context.organization_id,
        "workflow_id": context.workflow_id,
        "execution_id": context.execution_id,
        "file_execution_id": file.file_execution_id,
        "tags": list(context.tags),
        "workflow_start_time": workflow_start_time,
        **{name: value for name, value in optional.items() if value},
    }


def check_tool(tool: Tool) -> None:
    """Raise FileFailed for a tool whose request is not known, or not whole."""
    settings = _settings(tool)
    agentic = [str(output.get("name", "")) for output in tool.outputs if _kind(output) == "agentic_table"]
    if agentic:
        raise FileFailed(
            f"the tool {tool.name} has outputs of type agentic_table ({', '.join(agentic)}), and what their executor "
            "expects is not known: leave this workflow to the platform's own file workers"
        )
    missing = [] if tool.outputs else ["outputs"]
    missing += [] if _extractor(tool, settings) else ["text extractor (x2text)"]
    missing += [] if _summarizer(tool, settings) or not _summarizes(settings) else ["model to summarize with (llm)"]
    if missing:
        raise FileFailed(f"the tool {tool.name} has no {' and no '.join(missing)}: export it again from Prompt Studio")


def extraction_request(
    context: RunContext, file: FileItem, tool: Tool, paths: FilePaths, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """The one argument of `execute_extraction`, for a tool that `check_tool` lets pass."""
    run_id, settings = file.file_execution_id, _settings(tool)
    return {
        "executor_name": "legacy",
        "operation": "structure_pipeline",
        "execution_source": "tool",
        "run_id": run_id,
        "request_id": run_id,
        "organization_id": context.organization_id,
        "execution_id": context.execution_id,
        "file_execution_id": run_id,
        "log_events_id": context.log_channel,
        "executor_params": {
            "extract_params": _extract(context, file, tool, settings, paths, metadata),
            "index_template": {
                "tool_id": tool.tool_id,
                "file_hash": metadata["source_hash"],
                "is_highlight_enabled": bool(settings.get("enable_highlight")),
                "platform_api_key": tool.platform_key,
                "extracted_file_path": paths.extract,
            },
            "answer_params": _answer(context, file, tool, settings, paths, metadata),
            "pipeline_options": {
                "skip_extraction_and_indexing": _reads_a_table(tool),
                "is_summarization_enabled": _summarizes(settings),
                "is_single_pass_enabled": bool(settings.get("enable_single_pass_extraction")),
                "input_file_path": paths.infile,
                "source_file_name": file.name,
            },
            "summarize_params": _summary(tool, settings, paths) if _summarizes(settings) else None,
        },
    }


def with_profile(tool: Tool, profile: Mapping[str, Any]) -> Tool:
    """The tool with what a profile says instead. Raises FileFailed if it says nothing of what is known."""
    replaced = [(names, value) for names in _PROFILE if (value := _first(profile, names)) is not None]
    if not replaced:
        raise FileFailed("the profile (llm_profile_id) names no model, store, extractor or chunk size that is known")

    def over(settings: Mapping[str, Any]) -> dict[str, Any]:
        changed = dict(settings)
        for names, value in replaced:
            key = next((key for key in settings if _plain(key) in names), None)
            if key is not None:
                changed[key] = value
        return changed

    return evolve(tool, settings=over(tool.settings), outputs=tuple(map(over, tool.outputs)))


def _settings(tool: Tool) -> dict[str, Any]:
    from_instance = {
        name: tool.instance[setting] for setting, name in _FROM_INSTANCE.items() if setting in tool.instance
    }
    return {**tool.settings, **from_instance}


def _extract(
    context: RunContext,
    file: FileItem,
    tool: Tool,
    settings: Mapping[str, Any],
    paths: FilePaths,
    metadata: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "x2text_instance_id": _extractor(tool, settings),
        "file_path": paths.infile,
        "enable_highlight": bool(settings.get("enable_highlight")),
        "output_file_path": paths.extract,
        "platform_api_key": tool.platform_key,
        "usage_kwargs": {
            "run_id": file.file_execution_id,
            "file_name": file.name,
            "execution_id": context.execution_id,
        },
        "tags": list(context.tags),
        "tool_execution_metadata": dict(metadata),
        "execution_data_dir": paths.folder,
    }


def _answer(
    context: RunContext,
    file: FileItem,
    tool: Tool,
    settings: Mapping[str, Any],
    paths: FilePaths,
    metadata: Mapping[str, Any],
) -> dict[str, Any]:
    text = paths.summary if _summarizes(settings) else paths.extract
    return {
        "run_id": file.file_execution_id,
        "execution_id": context.execution_id,
        "tool_settings": dict(settings),
        "outputs": list(tool.outputs),
        "tool_id": tool.tool_id,
        "file_hash": metadata["source_hash"],
        "file_name": "SUMMARIZE" if _summarizes(settings) else file.name,
        "file_path": paths.infile if _reads_a_table(tool) else text,
        "execution_source": "tool",
        "custom_data": context.custom_data or {},
        "PLATFORM_SERVICE_API_KEY": tool.platform_key,
    }


def _summary(tool: Tool, settings: Mapping[str, Any], paths: FilePaths) -> dict[str, Any]:
    return {
        "llm_adapter_instance_id": _summarizer(tool, settings),
        "summarize_prompt": settings.get("summarize_prompt", ""),
        "extract_file_path": paths.extract,
        "summarize_file_path": paths.summary,
        "platform_api_key": tool.platform_key,
        "prompt_keys": [output["name"] for output in tool.outputs if isinstance(output.get("name"), str)],
    }


def _extractor(tool: Tool, settings: Mapping[str, Any]) -> Any:
    names = ("x2text_instance_id", *_X2TEXT)
    return _first(settings, names) or _first_of(tool.outputs, names)


def _summarizer(tool: Tool, settings: Mapping[str, Any]) -> Any:
    names = ("summarize_llm", "llm_adapter_instance_id", *_LLM)
    return _first(settings, names) or _first_of(tool.outputs, names)


def _summarizes(settings: Mapping[str, Any]) -> bool:
    return bool(settings.get("summarize_as_source"))


def _reads_a_table(tool: Tool) -> bool:
    return any(output.get("table_settings") and _is_object(output.get("prompt")) for output in tool.outputs)


def _is_object(text: object) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _kind(output: Mapping[str, Any]) -> str:
    return str(output.get("type") or output.get("enforce_type") or "")


def _first(settings: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first of the settings that has one of the names, however it is written."""
    wanted = tuple(names)
    found = (value for key, value in settings.items() if _plain(key) in wanted and value not in (None, ""))
    return next(found, None)


def _first_of(outputs: Iterable[Mapping[str, Any]], names: Iterable[str]) -> Any:
    wanted = tuple(names)
    return next((found for output in outputs if (found := _first(output, wanted)) is not None), None)


def _plain(key: str) -> str:
    return key.replace("-", "_").lower()
