"""Probabilities where classes or labels are as frequent as the user says, not as among the training rows (R31)."""

import math
from collections.abc import Mapping
from typing import Any

from genomics_fm.errors import InputError
from genomics_fm.inference.card import HeadCard
from genomics_fm.tasks.problem import Problem

Prior = float | Mapping[str, float]
"""A share of the second of two classes, or of the only label; or one of every class or of some labels by name."""
_SUM = 1e-3
"""How far the shares of all classes may be from 1 in sum; they are normalised then."""
_LEAST = 1e-7
_NAMES_SHOWN = 8


def parse(text: str) -> Prior:
    """A prior as the command line gives it: `0.01`, or `NAME=0.2,OTHER=0.8`.

    Raises:
        InputError: neither.
    """
    if "=" not in text:
        return _number(text, text)
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.rpartition("=")
        if not name or name in found:
            raise InputError(f"prior {text!r}: give NAME=SHARE for each name once, separated by commas")
        found[name] = _number(value, text)
    return found


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"prior {whole!r}: give a share like 0.01, or NAME=SHARE,NAME=SHARE") from error


def shares(card: HeadCard, prior: Prior) -> list[float]:
    """A prior as `Calibration.probabilities` takes it: a share of every class or label, in the order of outputs.

    Labels that are not named keep their share of the training rows.

    Raises:
        InputError: a head of numbers, a card without prevalence, a name it does not have, or shares that are none.
    """
    problem = card.problem
    if problem.kind == "regression":
        raise InputError("prior: this head predicts numbers, and numbers have none; leave it out")
    if not card.prevalence:
        raise InputError("prior: the head's card does not say its training prevalence; leave it out")
    given = _by_name(problem, prior)
    of_each = ",".join(f"{name}={share:g}" for name, share in given.items())
    said = of_each if isinstance(prior, Mapping) else f"{prior:g}"
    if not given or not all(0 < share < 1 for share in given.values()):
        raise InputError(f"prior {said}: give shares above 0 and below 1")
    if problem.classes and (len(given) < problem.outputs or not math.isclose(sum(given.values()), 1, abs_tol=_SUM)):
        raise InputError(f"prior {said}: give every class a share, 1 in sum: {_names(problem)}")
    trained = dict(zip(problem.names, card.prevalence, strict=True))
    if never := [name for name in given if not 0 < trained[name] < 1]:
        raise InputError(f"prior: {never[0]!r} was in none or all of the training rows, which no prior shifts")
    found = [given.get(name, share) for name, share in trained.items()]
    total = sum(found) if problem.classes else 1.0
    return [min(max(share / total, _LEAST), 1 - _LEAST) for share in found]


def received(card: HeadCard, given: Any) -> Prior | None:
    """A prior out of JSON: a number, or an object of numbers by name; null is none.

    Raises:
        InputError: not one that `shares` takes; says what the head takes, and repeats nothing of what was given.
    """
    if given is None:
        return None
    try:
        prior = {name: _finite(share) for name, share in given.items()} if isinstance(given, dict) else _finite(given)
        shares(card, prior)
    except (InputError, ValueError, OverflowError) as error:
        raise InputError(_taken(card)) from error
    return prior


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("no number")
    return float(value)


def _taken(card: HeadCard) -> str:
    """What priors a head takes, in words."""
    problem = card.problem
    if problem.kind == "regression" or not card.prevalence:
        return "prior: this head takes none; leave it out"
    one = f"a share of {problem.names[-1]}, or " if problem.binary or problem.outputs == 1 else ""
    which = "a share of every class, 1 in sum" if problem.classes else "shares of some labels"
    possible = "above 0 and below 1, and of none that was in none or all of the training rows"
    return f"prior: give {one}an object with {which}, {possible}: {_names(problem)}"


def _by_name(problem: Problem, prior: Prior) -> dict[str, float]:
    if isinstance(prior, Mapping):
        if unknown := [name for name in prior if name not in problem.names]:
            raise InputError(f"prior: no class or label {unknown[0]!r}; the head has {_names(problem)}")
        return dict(prior)
    if problem.classes and problem.outputs == 2:
        return {problem.names[0]: 1 - prior, problem.names[1]: prior}
    if problem.outputs == 1:
        return {problem.names[0]: prior}
    raise InputError(f"prior {prior:g}: the head has several outputs; give NAME=SHARE of {_names(problem)}")


def _names(problem: Problem) -> str:
    return ", ".join(problem.names[:_NAMES_SHOWN]) + (", …" if problem.outputs > _NAMES_SHOWN else "")
