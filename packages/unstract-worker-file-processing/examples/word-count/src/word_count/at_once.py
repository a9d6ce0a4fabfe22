"""The executor `word-count`: does the work in the worker's own thread and returns the result."""

from typing import Any

from attrs import frozen

from unstract_worker_core import Runtime
from unstract_worker_file_processing.executor import FileRequest
from word_count.files import Files, files_of

__all__ = ["WordCount", "make"]


@frozen
class WordCount:
    """A FileExecutor. One object serves all threads of a process."""

    files: Files

    def execute(self, request: FileRequest, *, timeout_seconds: float) -> Any:
        """Count the words, and write the result to the destination where there is one."""
        text = self.files.text(request, timeout_seconds=timeout_seconds)
        result = {"output": {"words": len(text.split())}}
        self.files.deliver(request, result)
        return result


def make(runtime: Runtime) -> WordCount:
    """What the entry point names: called once in each process, before its first file."""
    return WordCount(files_of(runtime))
