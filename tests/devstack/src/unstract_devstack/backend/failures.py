"""The shapes in which views answer what went wrong in them. Each view has its own, and clients must cope with all."""

from collections.abc import Callable

from unstract_devstack.backend.wire import HTML_TYPE, MalformedJson, Reply, reply

FailureShape = Callable[[Exception], Reply]


def standardized(status: int, code: str, detail: str, kind: str = "client_error") -> Reply:
    """The shape of errors that the framework itself answers."""
    return reply(status, {"type": kind, "errors": [{"code": code, "detail": detail, "attr": None}]})


def server_error(problem: Exception) -> Reply:
    """An error that escaped its view."""
    del problem
    return standardized(500, "error", "Server Error (500)", "server_error")


def error_detail(text: str) -> FailureShape:
    """500 with a text and the cause."""

    def shape(problem: Exception) -> Reply:
        return reply(500, {"error": text, "detail": str(problem)})

    return shape


def error_only(text: str) -> FailureShape:
    """500 with a text that says nothing of the cause."""

    def shape(problem: Exception) -> Reply:
        del problem
        return reply(500, {"error": text})

    return shape


def error_cause(problem: Exception) -> Reply:
    """500 with the cause alone."""
    return reply(500, {"error": str(problem)})


def status_message(problem: Exception) -> Reply:
    """500 in the shape of pipeline and webhook data."""
    del problem
    return reply(500, {"status": "error", "message": "Internal server error"})


def page(problem: Exception) -> Reply:
    """500 of a plain view: a page, whatever was asked for."""
    del problem
    return Reply(500, b'{"detail": "Error processing the request."}', HTML_TYPE)


def parse_refused(otherwise: FailureShape) -> FailureShape:
    """400 for a body that is not JSON, else the given shape."""

    def shape(problem: Exception) -> Reply:
        if isinstance(problem, MalformedJson):
            return standardized(400, "parse_error", str(problem))
        return otherwise(problem)

    return shape
