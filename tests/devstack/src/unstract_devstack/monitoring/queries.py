"""The PromQL of the dashboards and the alert rules, and the metrics that it names."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from attrs import frozen

MONITORING = Path(__file__).parents[5] / "docker" / "monitoring"

# What an expression holds beside names of metrics, each replaced by a space.
_NO_METRIC = re.compile(
    r""" "[^"]*" | '[^']*' | \{[^}]*\} | \[[^\]]*\]
    | \b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\) """,
    re.VERBOSE,
)
_WORD = re.compile(r"(?<![\w.])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])")
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
