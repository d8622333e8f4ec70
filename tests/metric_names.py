"""The metric names that dashboards and alert rules ask Prometheus for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

KEYWORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan", "atan2", "start", "end"})
STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^'\\]|\\.)*'")
MATCHERS = re.compile(r"\{[^{}]*\}")
RANGES = re.compile(r"\[[^\]]*\]")
LABEL_LISTS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*(?:\([^)]*\))?", re.IGNORECASE)
DURATIONS = re.compile(r"\b\d+(?:\.\d+)?(?:ms|[smhdwy]|e[+-]?\d+)?\b|\$\w+")
NAMES = re.compile(r"[a-zA-Z_:][\w:]*(?!\w|\s*\()")


def names_in_expression(expression: str) -> set[str]:
    """Metric names of one PromQL expression: what is left without strings, labels, ranges, functions, numbers."""
    rest = expression
    for pattern in (STRINGS, MATCHERS, RANGES, LABEL_LISTS, DURATIONS):
        rest = pattern.sub(" ", rest)
    return {name for name in NAMES.findall(rest) if name.lower() not in KEYWORDS}


def expressions(value: Any) -> Iterator[str]:
    """Every `expr` in a dashboard or rule file, and the metric of every `label_values(metric, label)`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "expr":
                yield str(inner)
            elif isinstance(inner, str) and (found := re.match(r"label_values\(([^,]+),", inner)):
                yield found[1]
            else:
                yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)


def names_in_dashboards(folder: Path) -> set[str]:
    """Metric names in all Grafana JSON and Prometheus rule files of a folder."""
    loaded = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    loaded += [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]
    return {name for value in loaded for found in expressions(value) for name in names_in_expression(found)}
