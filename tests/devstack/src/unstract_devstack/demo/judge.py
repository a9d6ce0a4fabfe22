"""Whether what happened is what should have happened; every difference in words."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from unstract_devstack.demo.report import COUNTS, TERMINAL, ExecutionOutcome, FileOutcome
from unstract_devstack.samples import ExpectedFile


def judge_samples(outcome: ExecutionOutcome, expected: Mapping[str, ExpectedFile]) -> list[str]:
    """What differs from the expectations: of each file, of the counts, and of the one terminal status."""
    times = Counter(file.name for file in outcome.files)
    problems = [f"{name}: no outcome" for name in sorted(set(expected) - set(times))]
    problems += [f"{name}: not expected" for name in sorted(set(times) - set(expected))]
    problems += [f"{name}: {number} outcomes" for name, number in times.items() if number > 1]
    good = sum(file.status == "Success" for file in expected.values())
    problems += judge_counts(outcome, "COMPLETED", len(expected), good)
    known = (file for file in outcome.files if file.name in expected)
    return problems + [f"{file.name}: {problem}" for file in known for problem in _file(file, expected[file.name])]


def judge_own_files(outcome: ExecutionOutcome) -> list[str]:
    """What is missing of one execution over the user's files: an end, or a result or a reason of a file."""
    problems = [] if outcome.status in TERMINAL else [f"it has not ended, its status is {outcome.status}"]
    silent = [file.name for file in outcome.files if file.result is None and not file.error]
    return problems + [f"{name}: neither a result nor a reason" for name in silent]


def judge_counts(outcome: ExecutionOutcome, status: str, total: int, successful: int) -> list[str]:
    """What differs from one end with this status, of so many successful files while the others failed."""
    wanted = (status, total, successful, total - successful, 1)
    actual = [(name, getattr(outcome, name)) for name in ("status", *COUNTS)]
    both = zip(actual, wanted, strict=True)
    return [f"{name} is {is_} instead of {should}" for (name, is_), should in both if is_ != should]


def judge_stopped(outcome: ExecutionOutcome) -> list[str]:
    """What is wrong with an execution that was stopped: some files have results, others were not started."""
    done = sum(file.status == "Success" for file in outcome.files)
    problems = [] if 0 < done < len(outcome.files) else [f"{done} of {len(outcome.files)} files have results"]
    counts = (outcome.status, outcome.successful)
    return problems if counts == ("STOPPED", done) else [*problems, f"it is {counts}, with {done} results"]


def judge_webhooks(announced: Sequence[str], executions: Sequence[ExecutionOutcome]) -> list[str]:
    """What differs from one webhook event for each execution; `announced` are the ids in those delivered."""
    times = [(each.title, announced.count(each.id)) for each in executions]
    return [f"{title}: announced by {number} webhook events instead of 1" for title, number in times if number != 1]


def judge_rows(rows: Sequence[str], expected: Mapping[str, ExpectedFile]) -> list[str]:
    """What differs from one destination row for each file that succeeds; `rows` are the rows' file names."""
    wanted = {name: int(file.status == "Success") for name, file in expected.items()}
    names = sorted({*rows, *wanted})
    return [
        f"{name}: {rows.count(name)} rows in the destination instead of {wanted.get(name, 0)}"
        for name in names
        if rows.count(name) != wanted.get(name, 0)
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
