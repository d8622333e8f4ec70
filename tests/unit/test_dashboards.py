"""Dashboards and alert rules: whole, drawn without overlaps, about metrics that the code emits."""

import ast
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.metric_names import names_in_dashboards, names_in_expression

ROOT = Path(__file__).parents[2]
DASHBOARDS = [json.loads(path.read_text()) for path in sorted((ROOT / "dashboards").glob("*.json"))]
DRAWN = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard["uid"])
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "dashboards" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
SUFFIXES = ("_total", "_bucket", "_sum", "_count", "")


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up", {"up"}),
        ("sum(rate(a_total[5m])) / sum(rate(b_total[5m]))", {"a_total", "b_total"}),
        ('sum by (le, job) (c_bucket{status=~"5..", name="d"})', {"c_bucket"}),
        ("histogram_quantile(0.99, sum(rate(e_bucket[1m])) by (le))", {"e_bucket"}),
        ("time() - max(f) > 300", {"f"}),
        ("g and on (instance) h offset 5m unless i:rate5m", {"g", "h", "i:rate5m"}),
        ('j{x="$node"} * 1e3 == bool Inf', {"j"}),
        ("max_over_time(k[10m:1m])", {"k"}),
    ],
)
def test_metric_names_are_found_and_nothing_else(expression: str, names: set[str]) -> None:
    assert names_in_expression(expression) == names


def test_names_come_from_panels_variables_and_rules(tmp_path: Path) -> None:
    variable = {"query": {"query": "label_values(from_variable, instance)"}}
    panel = {"targets": [{"expr": "from_panel"}]}
    (tmp_path / "d.json").write_text(json.dumps({"panels": [panel], "templating": {"list": [variable]}}))
    (tmp_path / "a.yaml").write_text("groups: [{rules: [{alert: A, expr: from_rule > 1}]}]")
    assert names_in_dashboards(tmp_path) == {"from_variable", "from_panel", "from_rule"}


def emitted_by_our_code() -> set[str]:
    """First arguments of the Counter, Gauge and Histogram calls in jobs/, f-string parts as wildcards."""
    patterns = set()
    for path in (ROOT / "jobs").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            if called not in ("Counter", "Gauge", "Histogram") or not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.args[0]
            if isinstance(name, ast.Constant):
                patterns.add(re.escape(str(name.value)))
            elif isinstance(name, ast.JoinedStr):
                parts = [re.escape(p.value) if isinstance(p, ast.Constant) else r"\w+" for p in name.values]
                patterns.add("".join(parts))
    return patterns


def test_every_metric_of_ours_on_a_dashboard_is_one_we_emit_and_the_reverse() -> None:
    asked = {name for name in names_in_dashboards(ROOT / "dashboards") if name.startswith("ray_genomics_fm_")}
    patterns = emitted_by_our_code()
    assert len(patterns) >= 6
    for name in asked:
        stems = {name.removeprefix("ray_").removesuffix(suffix) for suffix in SUFFIXES}
        assert any(re.fullmatch(pattern, stem) for pattern in patterns for stem in stems), name
    for pattern in patterns:
        stems = {name.removeprefix("ray_").removesuffix(suffix) for name in asked for suffix in SUFFIXES}
        assert any(re.fullmatch(pattern, stem) for stem in stems), pattern


def test_the_training_dashboard_shows_every_number_of_a_pretraining() -> None:
    [training] = [dashboard for dashboard in DASHBOARDS if dashboard["uid"] == "genomics-fm-training"]
    asked = " ".join(target["expr"] for panel in training["panels"] for target in panel.get("targets", []))
    source = (ROOT / "jobs" / "pretrain_gauges.py").read_text()
    names = re.findall(r'Gauge\("(\w+)"', source)
    assert len(names) == 13
    assert all(f"ray_{name}" in asked for name in names)


def test_no_alert_waits_for_a_number_that_is_never_reported() -> None:
    """A loss or gradient that is not finite ends the step before any gauge is set."""
    for rule in RULES:
        assert re.search(r"\b(Inf|NaN)\b", rule["expr"]) is None, rule["alert"]
        sides = [side.strip() for side in rule["expr"].split("!=")]
        assert len(sides) == 1 or sides[0] != sides[1], rule["alert"]


@DRAWN
def test_a_dashboard_has_what_grafana_needs(dashboard: dict[str, Any]) -> None:
    assert dashboard["uid"]
    assert dashboard["title"]
    assert dashboard["schemaVersion"] >= 36
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(references) == len(set(references))
        for target in panel["targets"]:
            assert names_in_expression(target["expr"]), panel["title"]
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= variables


@DRAWN
def test_panels_lie_on_the_grid_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    places: list[dict[str, Any]] = [panel["gridPos"] for panel in dashboard["panels"]]
    for place in places:
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
    for a, b in itertools.combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (a, b)


def test_every_alert_says_what_is_wrong_and_where_the_cure_stands() -> None:
    assert len(RULES) >= 6
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "pretraining.md").read_text(), flags=re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for rule in RULES:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        page, anchor = rule["annotations"]["runbook"].split("#")
        assert page == "docs/pretraining.md"
        assert anchor in anchors, rule["alert"]
        assert names_in_expression(rule["expr"])
