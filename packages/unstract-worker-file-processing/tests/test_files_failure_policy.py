"""Each error that a file meets is treated as the failure policy says; its sibling is still processed."""

import pytest

from unstract_worker_core.errors import BackendRefused
from unstract_worker_core.ledger import OutcomeKind, RunState
from unstract_worker_core.runs.failure_policy import Place, Reaction, reaction_to, reason_of
from unstract_worker_core.testing import errors_of_each_kind


class Failing:
    """Fails for the first file, with this error, until it is mended."""

    def __init__(self, executor, error):
        self.executor, self.error = executor, error

    def execute(self, request, *, timeout_seconds):
        if self.error is not None and request.file.number == 1:
            raise self.error
        return self.executor.execute(request, timeout_seconds=timeout_seconds)


@pytest.mark.parametrize(("kind", "error"), errors_of_each_kind())
def test_each_error_of_an_execution_is_treated_as_the_policy_says(bench, kind, error):
    bench.file("first.txt", "1")
    bench.file("second.txt", "2")
    bench.arm()
    working = bench.executor
    bench.executor = Failing(working, error)
    reaction = reaction_to(error, Place.FILE)

    if reaction is Reaction.END:
        bench.process()
        outcomes = bench.outcomes()
        assert (outcomes["first.txt"].kind, outcomes["second.txt"].kind) == (OutcomeKind.ERROR, OutcomeKind.COMPLETED)
        return
    with pytest.raises(Exception) as raised:
        bench.process()

    assert (bench.state(), bench.outcomes()) == (RunState.ARMED, {})
    assert bench.charges() == ({1: 1} if reaction is Reaction.CHARGE else {})
    if reaction is Reaction.LEAVE:
        assert raised.value is error
        return
    meta = bench.redis.hgetall(f"uw:{{{bench.execution_id}}}:meta")
    assert reason_of(error) in meta["last_error"]
    bench.executor = working
    bench.process()
    assert {each.kind for each in bench.outcomes().values()} == {OutcomeKind.COMPLETED}


@pytest.mark.parametrize("path", ["v1/workflow-execution", "file-execution", "execute-file"])
def test_a_revoked_key_is_no_fault_of_a_document(bench, path):
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault(path, "status", status=401)

    for _ in range(4):
        with pytest.raises((BackendRefused, Exception)):
            bench.process()

    assert (bench.outcomes(), bench.charges()) == ({}, {})
    assert "INTERNAL_SERVICE_API_KEY" in bench.redis.hget(f"uw:{{{bench.execution_id}}}:meta", "last_error")
    bench.platform.heal()
    bench.process()
    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED
