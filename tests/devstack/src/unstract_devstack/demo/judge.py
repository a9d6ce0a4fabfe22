"""Whether what happened is what should have happened; every difference in words."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from unstract_devstack.demo.outcomes import ExecutionOutcome, FileOutcome
from unstract_devstack.samples import ExpectedFile


def judge_samples(outcome: ExecutionOutcome, expected: Mapping[str, ExpectedFile]) -> list[str]:
    """What differs from the expectations: of each file, of the counts, and of the one terminal status."""
    problems = [*_names(outcome, expected), *_counts(outcome, expected)]
    for file in outcome.files:
        if file.name in expected:
            problems += [f"{file.name}: {problem}" for problem in _file(file, expected[file.name])]
    return problems


def judge_own_files(outcome: ExecutionOutcome) -> list[str]:
    """What is missing of one execution over the user's files: an end, or a result or a reason of a file."""
    problems = [] if outcome.terminal else [f"it has not ended, its status is {outcome.status}"]
    silent = [file.name for file in outcome.files if file.result is None and not file.error]
    return problems + [f"{name}: neither a result nor a reason" for name in silent]


def judge_counts(outcome: ExecutionOutcome, status: str, successful: int) -> list[str]:
    """What differs from an end with this status, of so many successful files while the others failed."""
    wanted = (status, successful, outcome.total - successful, 1)
    actual = (outcome.status, outcome.successful, outcome.failed, outcome.callbacks)
    return [] if actual == wanted else [f"status, successful, failed, callbacks are {actual} instead of {wanted}"]


def judge_stopped(outcome: ExecutionOutcome) -> list[str]:
    """What is wrong with an execution that was stopped: some files have results, others were not started."""
    done = sum(file.status == "Success" for file in outcome.files)
    problems = [] if 0 < done < len(outcome.files) else [f"{done} of {len(outcome.files)} files have results"]
    counts = (outcome.status, outcome.successful)
    return problems if counts == ("STOPPED", done) else [*problems, f"it is {counts}, with {done} results"]


def judge_webhooks(announced: Sequence[str], executions: Sequence[ExecutionOutcome]) -> list[str]:
    """What differs from one webhook event for each execution; `announced` are the ids in those delivered."""
    counted = Counter(announced)
    return [
        f"{outcome.title}: announced by {counted[outcome.id]} webhook events instead of 1"
        for outcome in executions
        if counted[outcome.id] != 1
    ]


def judge_rows(rows: Sequence[str], expected: Mapping[str, ExpectedFile]) -> list[str]:
    """What differs from one destination row for each file that succeeds; `rows` are the rows' file names."""
    counted = Counter(rows)
    wanted = {name for name, file in expected.items() if file.status == "Success"}
    return [
        f"{name}: {counted[name]} rows in the destination instead of {int(name in wanted)}"
        for name in sorted(wanted | set(counted))
        if counted[name] != int(name in wanted)
    ]


def _names(outcome: ExecutionOutcome, expected: Mapping[str, ExpectedFile]) -> list[str]:
    counted = Counter(file.name for file in outcome.files)
    problems = [f"{name}: no outcome" for name in sorted(set(expected) - set(counted))]
    problems += [f"{name}: not expected" for name in sorted(set(counted) - set(expected))]
    return problems + [f"{name}: {times} outcomes" for name, times in counted.items() if times > 1]


def _counts(outcome: ExecutionOutcome, expected: Mapping[str, ExpectedFile]) -> list[str]:
    good = sum(file.status == "Success" for file in expected.values())
    wanted = ("COMPLETED", len(expected), good, len(expected) - good, 1)
    actual = (outcome.status, outcome.total, outcome.successful, outcome.failed, outcome.callbacks)
    names = ("status", "total", "successful", "failed", "callbacks")
    return [
        f"{name} is {is_} instead of {should}"
        for name, is_, should in zip(names, actual, wanted, strict=True)
        if is_ != should
    ]


def _file(file: FileOutcome, expected: ExpectedFile) -> list[str]:
    if file.status != expected.status:
        return [f"{file.status} instead of {expected.status} ({file.error})"]
    if expected.error is not None and expected.error.casefold() not in (file.error or "").casefold():
        return [f"the reason is {file.error!r}, without {expected.error!r}"]
    if expected.status == "Failed":
        return []
    problems = []
    fields = file.result.get("fields") if isinstance(file.result, dict) else None
    if fields != expected.fields:
        problems.append(f"the fields are {fields} instead of {dict(expected.fields)}")
    if expected.contains is not None and expected.contains not in json.dumps(file.result, ensure_ascii=False):
        problems.append(f"the result does not hold {expected.contains!r}")
    return problems
