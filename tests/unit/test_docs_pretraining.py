"""docs/pretraining.md against the code: its figures, its flags, and a runbook entry for every alert."""

import re
from pathlib import Path

import pytest
import yaml

from genomics_fm.training.estimate import GIB, estimate
from jobs import pretrain, study_config
from jobs.config import _parser
from jobs.pretrain import PRESETS
from jobs.study import needs
from jobs.study_config import PRESETS as STUDIES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "pretraining.md").read_text()
ALERTS = [
    rule["alert"]
    for group in yaml.safe_load((ROOT / "dashboards" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
ELSEWHERE = {
    "--runtime-env", "--working-dir", "--no-wait", "--address",  # of ray job submit
    "--sources", "--output",  # of jobs.build_corpus
    "--in-flight", "--timeout-s", "--replicas", "--replica-cpus",  # of jobs.serve
    "--help", "--block",
}  # fmt: skip
PEAK_TFLOPS, SHARE, PRICE = 989.0, 0.4, 2.5
WORKERS = (1, 8, 64)
VOCABULARY = 7_266


def rows_of(heading: str) -> dict[str, list[str]]:
    """Cells of the first table whose header begins with some words, by the name in the first column."""
    lines = TEXT.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(heading)) + 2
    end = next(number for number in range(first, len(lines) + 1) if not "".join(lines[number : number + 1]))
    cells = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[first:end]]
    return {row[0]: row[1:] for row in cells}


def number(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text))


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_an_entry_that_says_what_it_means_where_to_look_and_what_to_do(alert: str) -> None:
    found = re.search(rf"^### {alert}\n(.+?)(?=^#|\Z)", TEXT, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, alert
    assert re.findall(r"^\*\*(Means|Look at|Do)\*\* \S", found[1], flags=re.MULTILINE) == ["Means", "Look at", "Do"]


def test_the_runbook_has_no_entry_of_an_alert_that_is_gone() -> None:
    assert re.findall(r"^### (\w+)$", TEXT.partition("## Runbook")[2], flags=re.MULTILINE) == ALERTS


def test_every_flag_is_one_there_is() -> None:
    parsers = [_parser(PRESETS["tiny"], list(PRESETS), "x", ""), _parser(STUDIES["toy"], list(STUDIES), "x", "")]
    known = {option for parser in parsers for action in parser._actions for option in action.option_strings}
    named = set(re.findall(r"(?<![\w-])--[a-z][\w.-]*[a-z]", TEXT))
    assert named - known - ELSEWHERE == set()
    assert len(named) > 30


@pytest.mark.parametrize("name", ["small", "base", "large"])
def test_hours_and_cost_are_what_a_dry_run_calculates(name: str) -> None:
    total, *hours, cost = map(number, rows_of("| preset | GPU hours | hours on 1")[name])
    for workers, shown in zip(WORKERS, hours, strict=True):
        found = estimate(PRESETS[name].training, VOCABULARY, workers, True, PEAK_TFLOPS, SHARE, 80 * GIB)
        assert shown == pytest.approx(found.hours, rel=0.03), workers
        assert total == pytest.approx(found.hours * workers, rel=0.03)
        assert cost == pytest.approx(found.hours * workers * PRICE, rel=0.03, abs=0.5)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_as_they_are_described(name: str) -> None:
    parameters, tokens, steps, total, workers = rows_of("| preset | parameters |")[name]
    config = PRESETS[name]
    found = estimate(config.training, VOCABULARY, config.workers, config.gpu, PEAK_TFLOPS, SHARE, 80 * GIB)
    scale = {"k": 1e3, "M": 1e6, "G": 1e9}
    assert number(parameters) * 1e6 == pytest.approx(found.parameters, rel=0.05)
    assert number(tokens) * scale[tokens[-1]] == pytest.approx(found.tokens, rel=0.05)
    assert (number(steps), number(workers)) == (config.training.steps, config.workers)
    assert number(total) * scale[total[-1]] == pytest.approx(found.tokens * found.steps, rel=0.05)
    assert workers.endswith("GPUs") == config.gpu


@pytest.mark.parametrize("name", STUDIES)
def test_studies_are_as_they_are_described(name: str) -> None:
    config = study_config.PRESETS[name]
    what, hours = rows_of("| preset | runs |")[name]
    assert int(what.split(":")[0]) == len(config.cells)
    if config.gpu:
        found = re.search(r"([\d.,e+]+) hours", needs(config)[-1])
        assert found is not None
        assert number(hours) == pytest.approx(float(found[1].replace(",", "")) * config.workers, rel=0.01)


def test_the_memory_in_the_example_is_what_a_dry_run_says() -> None:
    config = PRESETS["large"]
    said = pretrain.needs(config.__class__(**{**config.__dict__, "workers": 64}))
    shown = TEXT.partition("--preset large --workers 64 --dry-run\n")[2].partition("\n```")[0].splitlines()
    assert len(shown) == len(said)
    assert all(line.startswith(ours.removesuffix("…")) for ours, line in zip(shown, said, strict=True))
