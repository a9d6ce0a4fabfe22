"""The message to the platform's executor, and METADATA.json: pure functions of values, with the platform's names."""

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any

from attrs import frozen

from unstract_worker_core.ledger import FileItem, RunContext
from unstract_worker_file_processing.platform.tool import (
    Tool,
    extractor,
    prompt_keys,
    reads_a_table,
    settings_of,
    summarizer,
    summary_prompt,
)


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

    def output(self, name: str) -> str:
        """The result for a file-system destination, under its name there."""
        return f"{self.folder}/COPY_TO_FOLDER/{name}"


def output_name(file_name: str) -> str:
    """The name of a file's result: its stem. A file name is never read as a path."""
    base = file_name.rpartition("/")[2]
    return f"{base.rpartition('.')[0] or base}.json"


def shared_output_names(files: Iterable[FileItem]) -> dict[str, str]:
    """Names for the results of a run that would overwrite each other, by the file's identity.

    Inferred: the contract names a result after its file's stem, and does not say what becomes of two files with the
    same one. The first keeps that name; the result of another has the file's whole name (``report.docx.json``), and its
    identity if that is taken too.
    """
    taken, later, names = set[str](), list[FileItem](), dict[str, str]()
    for file in sorted(files, key=attrgetter("number")):
        if (name := output_name(file.name)) in taken:
            later.append(file)
        taken.add(name)
    for file in later:
        base = file.name.rpartition("/")[2]
        name = f"{base}.json" if f"{base}.json" not in taken else f"{base}.{file.identity}.json"
        names[file.identity] = name
        taken.add(name)
    return names


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


def extraction_request(
    context: RunContext, file: FileItem, tool: Tool, paths: FilePaths, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """The one argument of `execute_extraction`, for a tool that `check_tool` lets pass.

    Inferred: `log_events_id` is the channel of the run's UI logs.
    """
    run_id, settings = file.file_execution_id, settings_of(tool)
    summarizes = bool(settings.get("summarize_as_source"))
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
            "extract_params": _extract(context, file, tool, paths, metadata),
            "index_template": {
                "tool_id": tool.tool_id,
                "file_hash": metadata["source_hash"],
                "is_highlight_enabled": bool(settings.get("enable_highlight")),
                "platform_api_key": tool.platform_key,
                "extracted_file_path": paths.extract,
            },
            "answer_params": _answer(context, file, tool, paths, metadata),
            "pipeline_options": {
                "skip_extraction_and_indexing": reads_a_table(tool),
                "is_summarization_enabled": summarizes,
                "is_single_pass_enabled": bool(settings.get("enable_single_pass_extraction")),
                "input_file_path": paths.infile,
                "source_file_name": file.name,
            },
            "summarize_params": _summary(tool, paths) if summarizes else None,
        },
    }


def _extract(
    context: RunContext, file: FileItem, tool: Tool, paths: FilePaths, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "x2text_instance_id": extractor(tool),
        "file_path": paths.infile,
        "enable_highlight": bool(settings_of(tool).get("enable_highlight")),
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
    context: RunContext, file: FileItem, tool: Tool, paths: FilePaths, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """The group `answer_params`.

    Inferred: `file_path` is the text that the questions are put to: SUMMARIZE where `file_name` says so, else EXTRACT,
    and INFILE where no text is extracted. `custom_data` is an empty object where the run has none.
    """
    settings = settings_of(tool)
    summarizes = bool(settings.get("summarize_as_source"))
    text = paths.summary if summarizes else paths.extract
    return {
        "run_id": file.file_execution_id,
        "execution_id": context.execution_id,
        "tool_settings": settings,
        "outputs": list(tool.outputs),
        "tool_id": tool.tool_id,
        "file_hash": metadata["source_hash"],
        "file_name": "SUMMARIZE" if summarizes else file.name,
        "file_path": paths.infile if reads_a_table(tool) else text,
        "execution_source": "tool",
        "custom_data": context.custom_data or {},
        "PLATFORM_SERVICE_API_KEY": tool.platform_key,
    }


def _summary(tool: Tool, paths: FilePaths) -> dict[str, Any]:
    """The group `summarize_params`."""
    return {
        "llm_adapter_instance_id": summarizer(tool),
        "summarize_prompt": summary_prompt(tool),
        "extract_file_path": paths.extract,
        "summarize_file_path": paths.summary,
        "platform_api_key": tool.platform_key,
        "prompt_keys": prompt_keys(tool),
    }
