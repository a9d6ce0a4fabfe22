"""The demo with arguments: the user's own files through an API deployment."""

from collections.abc import Sequence

from unstract_devstack.demo.inputs import InputFile, Inputs, in_batches
from unstract_devstack.demo.judge import judge_own_files
from unstract_devstack.demo.outcomes import ExecutionOutcome, FileOutcome, Report
from unstract_devstack.demo.runs import Session, recounted, run_api
from unstract_devstack.multipart import FileChanged, Upload
from unstract_devstack.samples import load_expectations

API_NAME = "your-files"
FILES_PER_EXECUTION = 100
# What the backend takes in one request, and what the extraction takes of one file.
BYTES_PER_EXECUTION = 64 * 1024 * 1024


def run_own_files(session: Session, inputs: Inputs, report: Report) -> None:
    """Sends all files, in as many executions as they need, and asks of each a result or a reason."""
    report.claim = "Every execution has ended, and every file has a result or a reason"
    fields = load_expectations().fields
    workflow_id = session.platform.create_workflow(API_NAME, "api", fields, use_file_history=False)
    session.platform.create_api_deployment(workflow_id, API_NAME)
    small = [file for file in inputs.files if file.size <= BYTES_PER_EXECUTION]
    report.files.extend(_too_large(file) for file in inputs.files if file.size > BYTES_PER_EXECUTION)
    batches = list(in_batches(small, count=FILES_PER_EXECUTION, size=BYTES_PER_EXECUTION))
    for number, batch in enumerate(batches, start=1):
        title = "Your files" if len(batches) == 1 else f"Your files, part {number} of {len(batches)}"
        outcome = _run_batch(session, title, batch, report)
        if outcome is not None:
            report.add(outcome, judge_own_files(outcome))
    report.executions[:] = [recounted(session.platform, outcome) for outcome in report.executions]


def _run_batch(session: Session, title: str, batch: Sequence[InputFile], report: Report) -> ExecutionOutcome | None:
    """One execution; a file that changes while it is sent is left out, with that as its reason."""
    uploads = [Upload(file.path, file.name, file.size) for file in batch]
    while uploads:
        try:
            return run_api(session, title, API_NAME, uploads)
        except FileChanged as error:
            uploads.remove(error.upload)
            report.files.append(FileOutcome(error.upload.name, "Failed", str(error), None))
    return None


def _too_large(file: InputFile) -> FileOutcome:
    limit = BYTES_PER_EXECUTION // (1024 * 1024)
    return FileOutcome(file.name, "Failed", f"not sent: larger than the limit of {limit} MiB", None)
