"""The errors of the workers: one tree, each with typed attributes.

WorkerError
|- ConfigurationError       the process cannot start; names every faulty variable
|- MessageError             a message that can never be processed; dead-lettered once
|- BackendError             a call to the platform's internal API
|  |- BackendUnavailable    nothing is known to be applied or it may pass later; try again
|  |- OutcomeUnknown        the request may have been applied; look before repeating
|  |- BackendRefused        a definite no (4xx, permanent 500, body-level error)
|  |  `- NotFound           the backend says that the thing does not exist
|  `- UnexpectedAnswer      200 that is not what the contract promises (HTML, wrong shape)
|- LedgerError
|  |- LedgerUnavailable     Redis is away, read-only or out of memory; the step did not happen
|  `- LeaseLost             another worker owns the work now; stop without writing
`- SteppedAside             the process drains or the backend is down; the ledger keeps the work
"""

from attrs import frozen


class WorkerError(Exception):
    """Root of all errors raised by the workers."""


@frozen
class Fault:
    """One thing that is wrong with the configuration: the variable's name and what to do, never its value."""

    variable: str
    problem: str


class ConfigurationError(WorkerError):
    """The settings cannot be used. `faults` lists every one of them."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{fault.variable}: {fault.problem}" for fault in faults))


class MessageError(WorkerError):
    """A message that can never be processed. `field` is the path of what is wrong, `reason` says how."""

    def __init__(self, reason: str, *, field: str = "") -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}" if field else reason)


class BackendError(WorkerError):
    """A call to the internal API did not give what the contract promises.

    Attributes:
        endpoint: operation name, such as ``workflow-execution.update_status`` (no ids, no host).
        status: HTTP status, or None where no answer came.
        request_id: the id that this client sent, to find the call in the backend's log.
        retryable: whether the same call may succeed later.
    """

    retryable = False

    def __init__(
        self, message: str, *, endpoint: str, status: int | None = None, request_id: str | None = None
    ) -> None:
        self.endpoint = endpoint
        self.status = status
        self.request_id = request_id
        self.message = message
        shown = "" if status is None or f"(HTTP {status}" in message else f" (HTTP {status})"
        super().__init__(f"{endpoint}: {message}{shown}")


class BackendUnavailable(BackendError):
    """The backend could not be asked (connection, 408/425/429/502/503/504, open breaker). Nothing was decided."""

    retryable = True


class OutcomeUnknown(BackendError):
    """The request may or may not have been applied (timeout or cut after sending). Look before repeating."""

    retryable = True


class BackendRefused(BackendError):
    """A definite refusal; the same call will be refused again."""


class NotFound(BackendRefused):
    """The backend says, in its own words, that the object does not exist for this organization."""


class UnexpectedAnswer(BackendError):
    """The answer is not what the contract says: HTML, wrong shape, oversized. Never read as success."""


class LedgerError(WorkerError):
    """A step of the run ledger did not happen."""


class LedgerUnavailable(LedgerError):
    """Redis is unreachable, read-only or out of memory. Nothing was dropped; the run waits."""


class LeaseLost(LedgerError):
    """The lease lapsed and another worker may own the work. Stop without writing."""


class SteppedAside(WorkerError):
    """The work was handed back on purpose (drain, backend down). `reason` is for the log."""

    def __init__(self, reason: str, *, delay_seconds: float = 0.0) -> None:
        self.reason = reason
        self.delay_seconds = delay_seconds
        super().__init__(reason)
