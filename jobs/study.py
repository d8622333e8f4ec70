"""Studies made of many pretrainings: `python -m jobs.study scaling [--preset toy|paper|law]`."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genomics_fm.artefacts import sha256_json
from genomics_fm.corpus.manifest import Corpus
from genomics_fm.errors import InputError, one_line_errors
from genomics_fm.studies.scaling import (
    Cell,
    Row,
    check_members,
    effects,
    fits,
    planned,
    rate_of,
    readings,
    seed_noise,
    training_of,
)
from genomics_fm.training.evaluation import COMPARISON
from genomics_fm.training.heldout import HeldOut, stretches_of_all
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble
from jobs import build_corpus, launch, pretrain, study_scores, train_vocabulary
from jobs.build_corpus import YEAST, BuildCorpusConfig
from jobs.pretrain import PretrainConfig
from jobs.progress import say
from jobs.study_config import PRESETS, ScalingConfig
from jobs.train_vocabulary import TrainVocabularyConfig

FORMAT_VERSION = 1
RESULT, PAGE, TABLE = "study.json", "study.html", "study.tsv"
YEAST_HELD_OUT = (YEAST[1], YEAST[12])
"""Chromosomes II and XIII, where nothing else is given."""
LISTS = (".tsv", ".yaml", ".yml")
PUBLISHED_SIZES = {"bpe": 4_097, "kmer": 4_102, "bpe+kmer": 7_266}
"""Of the published vocabularies with prompts, for --dry-run before there are any."""


def run(config: ScalingConfig) -> dict[str, Any]:
    """Run what has not been run yet, score it, and write JSON, table and page, anew after every cell.

    Returns:
        What the JSON holds.

    Raises:
        InputError: a wrong axis, corpus, vocabulary or file, or the folder holds another study's runs.
    """
    _check_given(config)
    cells, folder = config.cells, launch.storage().absolute() / "studies" / config.name
    held_out, asked = config.held_out or YEAST_HELD_OUT, config.evaluation
    given = [HeldOut.of(one) for one in held_out]
    stretches = stretches_of_all(given, asked.segments, asked.segment_bp, asked.seed)
    folder.mkdir(parents=True, exist_ok=True)
    with launch.connect():
        corpora = {name: Corpus(place) for name, place in _corpora(config).items()}
        sets = _sets(config, corpora, folder)
        scores = study_scores.Scores(folder, stretches, corpora, config.evaluation)
        rows: list[Row] = []
        for number, cell in enumerate(cells, 1):
            say(f"[study] run {number} of {len(cells)}: {cell.slug}")
            rows.append(_row(config, cell, corpora[cell.corpus], sets[cell.vocabulary], scores))
            result = _result(config, corpora, sets, held_out, scores, rows, len(cells))
            study_scores.write(folder, result, (RESULT, PAGE, TABLE))
    return result


def _check_given(config: ScalingConfig) -> None:
    absent = [name for name, place in config.corpora.items() if not place]
    if absent:
        raise InputError(
            f"--corpora: no corpus for {', '.join(absent)}; give {absent[0]}=FOLDER or {absent[0]}=LIST.tsv"
        )
    if bool(config.corpora) != bool(config.held_out):
        raise InputError("--corpora and --held-out: give both or neither; what is held out is in no corpus")
    if config.vocabulary:
        check_members(config.vocabularies, Ensemble.load(Path(config.vocabulary)).names)


def _corpora(config: ScalingConfig) -> dict[str, str]:
    """Folders of the corpora by name; source lists are built, and so is yeast where nothing is given."""
    if not config.corpora:
        genomes = tuple(file for file in YEAST if file not in YEAST_HELD_OUT)
        return {"yeast": build_corpus.run(BuildCorpusConfig(genomes=genomes, name=f"{config.name}-yeast"))["folder"]}
    return {
        name: build_corpus.run(BuildCorpusConfig(sources=place, name=f"{config.name}-{name}"))["folder"]
        if place.endswith(LISTS)
        else place
        for name, place in config.corpora.items()
    }


def _sets(config: ScalingConfig, corpora: dict[str, Corpus], folder: Path) -> dict[str, Path]:
    """A vocabulary file for each set; a member is the same in all of them, and for all corpora."""
    path = Path(config.vocabulary or folder / FILE_NAME)
    widest = list(corpora.values())[-1]
    if not config.vocabulary:
        if not path.is_file():
            wanted = TrainVocabularyConfig(widest.storage.uri, members=config.members, sample_nt=config.sample_nt)
            train_vocabulary.run(wanted, path)
        if Ensemble.load(path).training.get("corpus_sha256") != widest.sha256:
            raise InputError(f"{path}: trained on another corpus than the last of --corpora; use another --name")
    whole = Ensemble.load(path)
    check_members(config.vocabularies, whole.names)
    found = {}
    for names in config.vocabularies:
        found[names] = folder / "vocabularies" / f"{names.replace('+', '_')}.json"
        found[names].parent.mkdir(exist_ok=True)
        Ensemble({name: whole.members[name] for name in names.split("+")}, whole.training).save(found[names])
    return found


def _pretraining(config: ScalingConfig, cell: Cell, corpus: Corpus, vocabulary: Path) -> PretrainConfig:
    """The run of a cell, as the command line of `jobs.pretrain` would give it."""
    return PretrainConfig(
        corpus=corpus.storage.uri,
        vocabulary=str(vocabulary),
        name=f"{config.name}-{cell.slug}",
        workers=config.workers,
        gpu=config.gpu,
        max_failures=config.max_failures,
        tracking=config.tracking,
        training=training_of(cell, config.training),
    )


def _row(config: ScalingConfig, cell: Cell, corpus: Corpus, vocabulary: Path, scores: study_scores.Scores) -> Row:
    """Run a cell unless it has been, and score it unless it has been."""
    done = pretrain.run(_pretraining(config, cell, corpus, vocabulary))
    size = Ensemble.load(vocabulary).size
    plan = planned(cell, config.training, size, rate_of(config.workers, config.peak_tflops, config.peak_share))
    tokens = done["tokens"][-1]
    return {
        **{name: value for name, value in plan.items() if name != "hours"},
        "tokens": tokens,
        "flops": plan["flops"] * tokens / plan["tokens"],
        "seconds": tokens / done["tokens_per_second"],
        "run": Path(done["folder"]).name,
        "weights_sha256": done["weights_sha256"],
        "scores": scores.of(cell, Path(done["folder"]), done["weights_sha256"]),
    }


def _result(
    config: ScalingConfig,
    corpora: dict[str, Corpus],
    sets: dict[str, Path],
    held_out: tuple[str, ...],
    scores: study_scores.Scores,
    rows: list[Row],
    cells: int,
) -> dict[str, Any]:
    """What page and JSON tell."""
    return {
        "format_version": FORMAT_VERSION,
        "name": config.name,
        "cells": cells,
        "rows": rows,
        "effects": effects(rows),
        "seed_noise": {name: seed_noise(rows, name) for name in readings(rows)},
        "fits": fits(rows),
        "comparison": COMPARISON,
        "corpora": {
            name: {"sha256": corpus.sha256, "nucleotides": corpus.nucleotides} for name, corpus in corpora.items()
        },
        "vocabularies": {name: Ensemble.load(path).sha256 for name, path in sets.items()},
        "held_out": {"files": list(held_out), "sha256": scores.sha256, "left_out": scores.left_out},
        "evaluation": dataclasses.asdict(config.evaluation),
        "training": dataclasses.asdict(config.training),
        "training_sha256": sha256_json(dataclasses.asdict(config.training)),
        "workers": config.workers,
    }


def needs(config: ScalingConfig) -> list[str]:
    """Lines about every run, calculated: parameters, tokens, hours; nothing is started.

    The vocabularies are read where there are some; else they are as large as the published ones.
    """
    flops_a_second = rate_of(config.workers, config.peak_tflops, config.peak_share)
    whole = Ensemble.load(Path(config.vocabulary)) if config.vocabulary else None
    if whole is not None:
        check_members(config.vocabularies, whole.names)
    lines = ["calculated, not measured; nothing has been started",
             f"{'run':<44}{'parameters':>14}{'tokens':>20}{'hours':>12}"]  # fmt: skip
    hours = 0.0
    for cell in config.cells:
        known = PUBLISHED_SIZES.get(cell.vocabulary, PUBLISHED_SIZES["bpe+kmer"])
        size = known if whole is None else Ensemble({name: whole.members[name] for name in cell.members}).size
        plan = planned(cell, config.training, size, flops_a_second)
        hours += plan["hours"]
        lines.append(f"{cell.slug:<44}{plan['parameters']:>14,}{plan['tokens']:>20,}{plan['hours']:>12,.3g}")
    rate = f"{config.workers} workers of {config.peak_tflops:g} TFLOP/s at {config.peak_share:.0%} of that"
    return [*lines, f"{len(config.cells)} runs, {hours:,.3g} hours on {rate}, one after the other"]


def _run_and_print(config: ScalingConfig) -> None:
    if config.dry_run:
        print("\n".join(needs(config)))
        return
    result = run(config)
    for found in result["effects"]:
        change = f"{found['axis']:<11}{found['from']!s:>10} → {found['to']!s:<10} {found['reading']:<6}"
        score = f"loss {found['loss']:+.4f}, accuracy {found['accuracy']:+.4f}"
        print(f"{change} {score} ({found['pairs']} pairs, equal {found['matched']})")
    print(f"{len(result['rows'])} runs: {launch.storage() / 'studies' / config.name / PAGE}")


STUDIES: dict[str, Callable[[list[str]], None]] = {
    "scaling": lambda rest: launch.main(
        PRESETS, _run_and_print, "python -m jobs.study scaling", "Pretrain over a grid and compare by R17.", rest
    )
}


def main() -> None:
    """The command line."""
    given = sys.argv[1:]
    with one_line_errors():
        if not given or given[0] not in STUDIES:
            raise InputError(f"python -m jobs.study: give a study: {', '.join(STUDIES)}; then --help for its flags")
    STUDIES[given[0]](given[1:])


if __name__ == "__main__":
    from jobs.study import main  # by its own name, so that workers can import what they are sent

    main()
