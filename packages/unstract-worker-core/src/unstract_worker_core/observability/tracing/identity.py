"""Ids of a trace, made from the execution's: the same in every process, without telling each other."""

from hashlib import sha256
from uuid import UUID

from attrs import frozen

__all__ = ["TraceIdentity"]


@frozen
class TraceIdentity:
    """Ids as OpenTelemetry's numbers: 128 bits for the trace, 64 for its root span; never 0, which means none."""

    trace_id: int
    root_id: int
    share: float

    @classmethod
    def of(cls, execution_id: str) -> "TraceIdentity":
        """Of an execution, or of whatever else the ledger keeps under an id (a webhook, a schedule).

        `share` is where it stands between 0 and 1, evenly: it is traced where this is below the ratio. The id's own
        bits would not do, since some of a UUID's are fixed.
        """
        digest = sha256(execution_id.encode()).digest()
        try:
            trace_id = UUID(execution_id).int
        except ValueError:
            trace_id = int.from_bytes(digest[:16])
        share = int.from_bytes(digest[24:32]) / 2**64
        return cls(trace_id or 1, int.from_bytes(digest[16:24]) or 1, share)
