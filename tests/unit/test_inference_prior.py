import pytest

from genomics_fm.errors import InputError
from genomics_fm.inference.card import HeadCard
from genomics_fm.inference.prior import parse, shares
from genomics_fm.tasks.problem import Problem


def card(kind="classification", names=("no", "yes"), prevalence=(0.5, 0.5)):
    return HeadCard("task", Problem(kind, names), "bpe", {}, (10, 10), prevalence)


def test_a_prior_is_a_share_or_names_with_shares():
    assert parse("0.01") == 0.01
    assert parse("a=0.2,b=0.8") == {"a": 0.2, "b": 0.8}
    assert parse("a=b=0.2") == {"a=b": 0.2}


@pytest.mark.parametrize("text", ["often", "a=", "=0.5", "a=0.2,a=0.8", "a=0.2,", ""])
def test_what_is_no_prior_is_refused(text):
    with pytest.raises(InputError, match="prior"):
        parse(text)


def test_shares_stand_in_the_order_of_the_outputs():
    assert shares(card(), 0.25) == [0.75, 0.25]
    three = card(names=("a", "b", "c"), prevalence=(0.2, 0.3, 0.5))
    assert shares(three, {"c": 0.1, "a": 0.6, "b": 0.3}) == pytest.approx([0.6, 0.3, 0.1])
    assert shares(three, {"a": 0.6004, "b": 0.3, "c": 0.1}) == pytest.approx([0.6, 0.3, 0.1], abs=1e-3)
    assert sum(shares(three, {"a": 0.6004, "b": 0.3, "c": 0.1})) == pytest.approx(1)


def test_labels_that_are_not_named_keep_their_share():
    assert shares(card("multilabel", ("x", "y"), (0.1, 0.4)), {"y": 0.2}) == [0.1, 0.2]
    assert shares(card("multilabel", ("x",), (0.1,)), 0.3) == [0.3]


@pytest.mark.parametrize(
    ("given", "prior", "words"),
    [
        (card("regression", ("x",), (3.0,)), 0.5, "numbers have none"),
        (card(prevalence=()), 0.5, "does not say its training prevalence"),
        (card(), 0.0, "prior 0: give shares above 0 and below 1"),
        (card(), 1.5, "above 0 and below 1"),
        (card(), float("nan"), "above 0 and below 1"),
        (card(), {}, "above 0 and below 1"),
        (card(), {"maybe": 0.5}, "no class or label 'maybe'; the head has no, yes"),
        (card(), {"yes": 0.5}, "give every class a share"),
        (card(), {"yes": 0.5, "no": 0.6}, "1 in sum: no, yes"),
        (card(names=("a", "b", "c"), prevalence=(0.2, 0.3, 0.5)), 0.2, "give NAME=SHARE of a, b, c"),
        (card("multilabel", ("x", "y"), (0.0, 0.4)), {"x": 0.2}, "'x' was in none or all of the training rows"),
        (card(prevalence=(0.0, 1.0)), 0.2, "'no' was in none or all"),
    ],
)
def test_priors_that_do_not_fit_are_refused(given, prior, words):
    with pytest.raises(InputError, match=words):
        shares(given, prior)
