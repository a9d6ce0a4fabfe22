"""Runs a handler: idempotency keys where they count, failures in the shape of their view."""

import logging

from unstract_devstack.backend.config import Mode
from unstract_devstack.backend.routing import Route
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import BadUuid, MalformedJson, NoMatch, Refused, Reply

log = logging.getLogger(__name__)

EXPECTED = (BadUuid, MalformedJson, NoMatch)


def run(route: Route, call: Call) -> Reply:
    """The answer of one call, in a thread of a pool."""
    keyed = call.services.config.mode is Mode.KEYED and call.request.key is not None
    answer = _once(route, call) if keyed and route.method != "GET" else _plainly(route, call)
    for step in call.after:
        step()
    return answer


def _plainly(route: Route, call: Call) -> Reply:
    try:
        return route.handler(call)
    except Refused as refused:
        return refused.reply
    except Exception as problem:  # noqa: BLE001 as in the real views, which catch everything and answer in their own shape
        if not isinstance(problem, EXPECTED):
            log.info("%s %s answered as a failure: %r", route.method, call.request.path, problem)
        return route.failure(problem)


def _once(route: Route, call: Call) -> Reply:
    """Apply a key once. A quick handler's effect and its answer are written in one transaction."""
    answers, scope = call.services.answers, call.services.answers.scope(call.request)
    with answers.holding(scope):
        known = answers.known(scope)
        if known is not None:
            return known
        if route.slow:
            call.keep = lambda answer: answers.remember(call.database.connection(), scope, answer)
            return _plainly(route, call)
        with call.database.write() as connection:
            answer = _plainly(route, call)
            answers.remember(connection, scope, answer)
        return answer
