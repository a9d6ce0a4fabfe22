"""Steps on the requests to executors that answer later: intended, published, answered.

A request is *intended* before it is sent and *published* once the broker confirmed it; a worker that dies in between
leaves a request that may have been sent. Both have a time for which an answer is awaited. The answer is recorded by
any worker that receives it.
"""

from enum import StrEnum
from typing import Any

from attrs import frozen

from unstract_worker_core import serialization
from unstract_worker_core.errors import LeaseLost
from unstract_worker_core.ledger.batches import BatchClaim
from unstract_worker_core.ledger.records import AnswerTicket, ExecutorAnswer
from unstract_worker_core.ledger.store import LedgerStore
from unstract_worker_core.statuses import RunKind


class Intent(StrEnum):
    """What to do after asking to send a request."""

    SEND = "send"
    WAITING = "waiting"  # one is under way
    ANSWERED = "answered"
    STOPPED = "stopped"
    GIVEN_UP = "given_up"  # every request went without an answer


@frozen
class RecordedAnswer:
    """What recording an answer did. `late`: it was dropped. `ring`: the kind of run whose batch must be rung now."""

    late: bool = False
    ring: RunKind | None = None


class Requests:
    """The steps; times are given in seconds and measured by Redis's clock."""

    def __init__(self, store: LedgerStore, *, ring_wait: float) -> None:
        self._store = store
        self._wait_ms = int(ring_wait * 1000)

    def intend(self, claim: BatchClaim, number: int, nonce: str, *, wait_seconds: float, max_charges: int) -> Intent:
        """Ask to send a request for a file, and write down that it is about to be sent.

        Args:
            nonce: names this sending; the same nonce again gets the same answer, or ANSWERED.
            wait_seconds: how long an answer is awaited if nothing is heard of the sending any more.
            max_charges: tries of the file. Sending again after the time of the request before is over is one.

        Raises:
            LeaseLost: another worker has the batch.
        """
        wait_ms = int(wait_seconds * 1000)
        answer = self._step("intend_request", claim, claim.token, number, nonce, wait_ms, max_charges)
        if answer[0] == "lost":
            raise LeaseLost(f"run {claim.run_id}: another worker has batch {claim.batch}")
        return Intent(answer[0])

    def published(self, claim: BatchClaim, number: int, nonce: str, *, wait_seconds: float) -> bool:
        """The broker has the request: an answer is awaited this long. Needs no lease; False: it is another one's."""
        wait_ms = int(wait_seconds * 1000)
        return bool(self._step("note_published", claim, claim.token, number, nonce, wait_ms))

    def withdraw(self, claim: BatchClaim, number: int, nonce: str) -> None:
        """The intended request was certainly not sent: the one before it is awaited as before. Needs no lease."""
        self._store.run("withdraw_request", claim.run_id, claim.epoch, number, nonce)

    def park(self, claim: BatchClaim, number: int, *, delay_seconds: float) -> ExecutorAnswer | None:
        """Give the batch back, uncharged, until the file's answer comes or the delay is over.

        Returns:
            The answer, if it is there: the lease is still held then. None: the batch is given back.
        """
        answer = self._step("await_answer", claim, claim.token, number, int(delay_seconds * 1000))
        return serialization.decode(answer[1], ExecutorAnswer) if answer[0] == "answered" else None

    def record(self, ticket: AnswerTicket, answer: ExecutorAnswer) -> RecordedAnswer:
        """Record an executor's answer; the first one counts."""
        place, text = (ticket.epoch, ticket.batch, ticket.number), serialization.encode(answer)
        recorded = self._store.run(
            "record_answer", ticket.run_id, *place, text, self._wait_ms, ticket.file_execution_id or ""
        )
        return RecordedAnswer(late=recorded[0] == "late", ring=RunKind(recorded[1]) if recorded[0] == "ring" else None)

    def _step(self, step: str, claim: BatchClaim, *arguments: str | int) -> Any:
        return self._store.run(step, claim.run_id, claim.epoch, claim.batch, *arguments)
