"""Which handler answers which method and path, and what the framework answers where none does."""

from attrs import define, field, frozen

from unstract_devstack.backend.failures import FailureShape, server_error, standardized
from unstract_devstack.backend.services import Handler
from unstract_devstack.backend.wire import FORBIDDEN_PAGE, NOT_FOUND_PAGE, Reply, html, valid_uuid


@frozen
class Route:
    """One operation.

    ``plain``: a view that is not part of the framework (405 and errors are pages; POST meets CSRF). ``strict``: path
    parameters must be UUIDs for the URL to match at all. ``slow``: runs in the pool for files. ``delayed``: takes the
    configured time of a file on top.
    """

    method: str
    path: str
    handler: Handler
    failure: FailureShape = server_error
    plain: bool = False
    strict: bool = False
    slow: bool = False
    delayed: bool = False


@define
class Branch:
    """A node of the tree of paths."""

    literal: dict[str, "Branch"] = field(factory=dict)
    parameter: "Branch | None" = None
    name: str = ""
    routes: dict[str, Route] = field(factory=dict)


@frozen
class Found:
    """A path that exists: its operations by method, and the values in it."""

    routes: dict[str, Route]
    parameters: dict[str, str]


class Router:
    """All operations. A path's last segment is empty where it ends in a slash."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self._root = Branch()
        for route in routes:
            branch = self._root
            for segment in route.path.split("/"):
                if segment.startswith("{"):
                    if branch.parameter is None:
                        branch.parameter = Branch(name=segment[1:-1])
                    branch = branch.parameter
                else:
                    branch = branch.literal.setdefault(segment, Branch())
            branch.routes[route.method] = route

    def find(self, path: str) -> Found | None:
        """The operations at a path."""
        branch = self._root
        parameters: dict[str, str] = {}
        for segment in path.split("/"):
            following = branch.literal.get(segment)
            if following is None:
                if branch.parameter is None or not segment:
                    return None
                following = branch.parameter
                parameters[following.name] = segment
            branch = following
        if not branch.routes:
            return None
        if any(route.strict for route in branch.routes.values()):
            try:
                parameters = {name: valid_uuid(value) for name, value in parameters.items()}
            except ValueError:
                return None
        return Found(branch.routes, parameters)


def missing(router: Router, path: str) -> Reply:
    """What a path without an operation gets: a redirect if only its slash is missing, else a page."""
    if not path.endswith("/") and router.find(path + "/") is not None:
        return Reply(301, b"", "text/html; charset=utf-8", (("location", path + "/"),))
    return html(404, NOT_FOUND_PAGE)


def not_allowed(found: Found, method: str) -> Reply:
    """What a method gets that the path does not serve."""
    if all(route.plain for route in found.routes.values()):
        return html(403 if method not in {"GET", "HEAD", "OPTIONS"} else 405, FORBIDDEN_PAGE)
    return standardized(405, "method_not_allowed", f'Method "{method}" not allowed.')
