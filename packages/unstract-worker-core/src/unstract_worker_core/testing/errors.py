"""An error of each kind that the failure policy knows, for tests that walk its table."""

from unstract_worker_core import errors
from unstract_worker_core.errors import BackendError
from unstract_worker_core.runs.failure_policy import ErrorKind

__all__ = ["errors_of_each_kind"]


def errors_of_each_kind() -> tuple[tuple[ErrorKind, Exception], ...]:
    """At least one error of each kind, as the client, the ledger and the steps raise them."""

    def backend(error: type[BackendError], status: int | None = None) -> BackendError:
        return error("no", endpoint="a.b", status=status)

    return (
        (ErrorKind.STEPPED_ASIDE, errors.SteppedAside("the process drains", delay_seconds=3)),
        (ErrorKind.BACKEND_AWAY, backend(errors.BackendUnavailable)),
        (ErrorKind.BACKEND_AWAY, backend(errors.BackendUnavailable, 429)),
        (ErrorKind.BACKEND_AWAY, backend(errors.BackendUnavailable, 503)),
        (ErrorKind.KEY_REFUSED, backend(errors.BackendRefused, 401)),
        (ErrorKind.KEY_REFUSED, backend(errors.BackendRefused, 403)),
        (ErrorKind.UNKNOWN_OUTCOME, backend(errors.OutcomeUnknown)),
        (ErrorKind.UNKNOWN_OUTCOME, backend(errors.OutcomeUnknown, 504)),
        (ErrorKind.UNCLEAR_ERROR, backend(errors.OutcomeUnknown, 500)),
        (ErrorKind.SERVER_ERROR, backend(errors.BackendUnavailable, 500)),
        (ErrorKind.NOT_FOUND, backend(errors.NotFound, 404)),
        (ErrorKind.NOT_FOUND, backend(errors.NotFound, 500)),
        (ErrorKind.REFUSED, backend(errors.BackendRefused, 200)),
        (ErrorKind.REFUSED, backend(errors.BackendRefused, 400)),
        (ErrorKind.REFUSED, backend(errors.BackendRefused, 500)),
        (ErrorKind.BAD_ANSWER, backend(errors.UnexpectedAnswer, 200)),
        (ErrorKind.BAD_ANSWER, backend(errors.UnexpectedAnswer, 404)),
        (ErrorKind.BAD_MESSAGE, errors.MessageError("not a UUID", field="x")),
        (ErrorKind.LEDGER_AWAY, errors.LedgerUnavailable("step: Redis is unreachable")),
        (ErrorKind.LEASE_LOST, errors.LeaseLost("the lease is another worker's")),
        (ErrorKind.LEDGER_ERROR, errors.LedgerError("not armed")),
        (ErrorKind.DEFECT, RuntimeError("with a secret inside")),
        (ErrorKind.DEFECT, KeyError("x")),
    )
