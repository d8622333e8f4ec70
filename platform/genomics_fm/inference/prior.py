"""Probabilities where classes or labels are as frequent as the user says, not as among the training rows (R31)."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genomics_fm.errors import InputError
from genomics_fm.inference.card import HeadCard
from genomics_fm.tasks.problem import Problem

Prior = float | Mapping[str, float]
"""A share of the second of two classes, or of the only label; or one of every class or of some labels by name."""
_ROUNDING = 1e-3
"""How far the shares of all classes may be from 1 in sum; they are normalised then."""
_NAMES_SHOWN = 8

Floats = NDArray[np.float64]


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


def factors(card: HeadCard, prior: Prior) -> Floats:
    """What a prior multiplies: (C,) probabilities of classes before they are normalised again, or odds of labels.

    A head that was trained with weights answers as if rows were as frequent as the weights make them; that is undone.

    Raises:
        InputError: a head of numbers, a card without prevalence, a name it does not have, or shares that are none.
    """
    problem = card.problem
    if problem.kind == "regression":
        raise InputError("prior: this head predicts numbers, and numbers have none; leave it out")
    if not card.prevalence:
        raise InputError("prior: the head's card does not say its training prevalence; leave it out")
    wanted = _shares(problem, prior)
    trained, weights = np.array(card.prevalence), np.array(card.weights or [1.0] * problem.outputs)
    asked = ~np.isnan(wanted)
    for place in np.flatnonzero(asked & ((trained <= 0) | (trained >= 1))):
        name = problem.names[place]
        raise InputError(f"prior: {name!r} has a prevalence of {trained[place]:g} in training, which no prior shifts")
    if problem.classes:
        return wanted / (trained * weights)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = wanted / (1 - wanted) * (1 - trained) / trained / weights
    return np.where(asked, odds, 1.0)


def _shares(problem: Problem, prior: Prior) -> Floats:
    """A share for every class, or for the labels named and NaN for others."""
    shares = np.full(problem.outputs, np.nan)
    if isinstance(prior, Mapping):
        if unknown := [name for name in prior if name not in problem.names]:
            raise InputError(f"prior: no class or label {unknown[0]!r}; the head has {_names(problem)}")
        for name, share in prior.items():
            shares[problem.names.index(name)] = share
    elif problem.binary:
        shares[:] = 1 - prior, prior
    elif problem.outputs == 1:
        shares[0] = prior
    else:
        raise InputError(f"prior {prior:g}: the head has several outputs; give NAME=SHARE of {_names(problem)}")
    named = shares[~np.isnan(shares)]
    if not len(named) or not np.all((named > 0) & (named < 1)):
        raise InputError(f"prior {_said(prior)}: give shares above 0 and below 1")
    if problem.classes:
        if len(named) < problem.outputs or not math.isclose(named.sum(), 1, abs_tol=_ROUNDING):
            raise InputError(f"prior {_said(prior)}: give every class a share, 1 in sum: {_names(problem)}")
        return shares / shares.sum()
    return shares


def _names(problem: Problem) -> str:
    return ", ".join(problem.names[:_NAMES_SHOWN]) + (", …" if problem.outputs > _NAMES_SHOWN else "")


def _said(prior: Any) -> str:
    return ",".join(f"{k}={v:g}" for k, v in prior.items()) if isinstance(prior, Mapping) else f"{prior:g}"


def shifted(problem: Problem, probabilities: Floats, factor_C: Floats) -> Floats:
    """Probabilities (..., C) under a prior, by its `factors`."""
    weighed = probabilities * factor_C
    rest = weighed.sum(axis=-1, keepdims=True) if problem.classes else weighed + 1 - probabilities
    return np.divide(weighed, rest, out=probabilities.astype(np.float64), where=rest > 0)
