"""`hatch run monitoring:check`: whether docker/monitoring asks for what the workers export.

promtool on configuration, rules and their cases; every expression; every name of a metric. Exit code 0 where all holds,
1 with what does not.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from attrs import frozen

MONITORING = Path(__file__).parents[4] / "docker" / "monitoring"

# What an expression holds beside names of metrics, each replaced by a space.
_NO_METRIC = re.compile(
    r""" "[^"]*" | '[^']*' | \{[^}]*\} | \[[^\]]*\]
    | \b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\) """,
    re.VERBOSE,
)
_WORD = re.compile(r"(?<![\w.])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])")
CORE_PAGE = MONITORING.parents[1] / "packages" / "unstract-worker-core" / "README.md"
_ROW = re.compile(r"^\| `(?P<name>\w+)` \| (?P<kind>counter|gauge|histogram) \|", re.MULTILINE)
# Made by Prometheus itself for every target.
_OF_PROMETHEUS = frozenset({"up"})

_KEYWORDS = frozenset({"and", "or", "unless", "offset", "bool", "inf", "nan", "by", "on"})


@frozen
class Query:
    """One expression and its place; Grafana's variables are replaced by times that Prometheus reads."""

    where: str
    expression: str

    @property
    def metrics(self) -> frozenset[str]:
        """The names of the metrics that it asks for."""
        return names_in(self.expression)


def names_in(expression: str) -> frozenset[str]:
    """The names of the metrics in an expression that is valid PromQL."""
    words = _WORD.findall(_NO_METRIC.sub(" ", expression))
    return frozenset(word for word in words if word.lower() not in _KEYWORDS)


def all_queries(folder: Path = MONITORING) -> tuple[Query, ...]:
    """Everything that the rules and the dashboards ask."""
    return (*_of_rules(folder / "rules.yml"), *_of_dashboards(folder / "grafana" / "dashboards"))


def _of_rules(file: Path) -> Iterator[Query]:
    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            yield Query(f"{file.name}: {rule['alert']}", rule["expr"])


def _of_dashboards(folder: Path) -> Iterator[Query]:
    for file in sorted(folder.glob("*.json")):
        board: Any = json.loads(file.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                plain = target["expr"].replace("$__rate_interval", "5m").replace("$__range", "1h")
                yield Query(f"{file.name}: {panel['title']}", plain)


class MonitoringFault(Exception):
    """Something in docker/monitoring does not hold; the message says what and where."""


def check(folder: Path = MONITORING) -> Iterator[str]:
    """Check everything; what was found to be right, one line each.

    Raises:
        MonitoringFault: at the first thing that does not hold, or without promtool.
    """
    promtool = shutil.which("promtool")
    if promtool is None:
        raise MonitoringFault("promtool is not there: Debian's package `prometheus` has it, as has every release of it")
    for arguments in (("check", "config", "prometheus.yml"), ("test", "rules", "rules.test.yml")):
        _run(promtool, folder, *arguments)
        yield f"promtool {' '.join(arguments)}"
    queries = all_queries(folder)
    _check_expressions(promtool, queries)
    yield f"{len(queries)} expressions of rules and dashboards are PromQL"
    names = documented_metrics(CORE_PAGE.read_text(encoding="utf-8"))
    unknown = [f"{query.where}: {name}" for query in queries for name in sorted(query.metrics - names - _OF_PROMETHEUS)]
    if unknown:
        raise MonitoringFault("no worker exports these:\n  " + "\n  ".join(unknown))
    asked = {name for query in queries for name in query.metrics}
    yield f"the {len(asked)} metrics that they ask for are in core's list"


def documented_metrics(page: str) -> frozenset[str]:
    """The names that can be queried by core's list; of a histogram its three series."""
    names: set[str] = set()
    for row in _ROW.finditer(page):
        series = ("_bucket", "_sum", "_count") if row["kind"] == "histogram" else ("",)
        names.update(row["name"] + suffix for suffix in series)
    return frozenset(names)


def _check_expressions(promtool: str, queries: Iterable[Query]) -> None:
    """Dashboards are not promtool's business: their expressions are checked as the rules of a file made here."""
    rules = [{"record": f"checked:query:{number}", "expr": query.expression} for number, query in enumerate(queries)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "expressions.yml"
        file.write_text(json.dumps({"groups": [{"name": "expressions", "rules": rules}]}), encoding="utf-8")
        _run(promtool, file.parent, "check", "rules", file.name)


def _run(promtool: str, folder: Path, *arguments: str) -> None:
    done = subprocess.run((promtool, *arguments), cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise MonitoringFault(f"promtool {' '.join(arguments)} fails:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    try:
        for line in check():
            sys.stdout.write(f"ok: {line}\n")
    except MonitoringFault as fault:
        sys.stderr.write(f"{fault}\n")
        raise SystemExit(1) from None
