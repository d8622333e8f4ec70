"""The names a reader sees for arms and baselines, one place for page, plot and terminal."""

import re
from typing import Any

VOCABULARIES = {"bpe": "BPE", "kmer": "6-mer"}
STARTS = {"pretrained": "pretrained", "scratch": "from scratch"}
# A word in a baseline's name, the baseline's kind, and the words for it.
BASELINE_KINDS = (
    ("frame", "six_frame", "Six-frame rule (ORF scan)"),
    ("majority", "majority", "Majority class"),
    ("logistic", "logistic", "6-mer logistic regression"),
    ("cnn", "cnn", "Small CNN"),
    ("gc", "gc", "GC threshold"),
)
MOST_K = 12
BPE_BASES = (
    "The accuracy a base with BPE reading is no measure by itself: to answer every hidden piece with one that is "
    "frequent, ATTTTT, reads 41\u00a0% of the bases of worm and yeast rightly. Look at losses first."
)
# Baselines that learn nothing from the number of labels: horizontal lines on the plot.
REFERENCE_KINDS = ("six_frame", "majority")


def _baseline(name: str) -> tuple[str, str]:
    words = re.split(r"[^a-z0-9]+", name.lower())
    return next(((kind, shown) for word, kind, shown in BASELINE_KINDS if word in words), (name, name))


def baseline_kind(name: str) -> str:
    """Which baseline a row is: six_frame, majority, logistic, cnn, gc, or its own name when it is none."""
    return _baseline(name)[0]


def baseline_name(name: str) -> str:
    return _baseline(name)[1]


def spoken(name: object) -> str:
    """A name from the run in the page's words: the vocabularies as people write them, no underscores."""
    words = re.sub(r"\b(bpe|kmer)\b", lambda found: VOCABULARIES[found[0]], str(name))
    return re.sub(r"(?<=\d)%", "\u00a0%", words).replace("_", " ")


def vocabulary_name(name: object) -> str:
    return VOCABULARIES.get(str(name), str(name))


def member_name(name: str, member: dict[str, Any]) -> str:
    """A vocabulary of an ensemble in words.

    Args:
        name: in its ensemble.
        member: its `kind` and, by kind, `k` or `frame`; empty where nothing is known.
    """
    kind, k = member.get("kind"), member.get("k")
    match kind:
        case "bpe":
            words = "BPE"
        case "kmer":
            words = f"{k}-mer"
        case "block":
            words = f"{k}-mer blocks"
        case "codon":
            words = f"codons, frame {member.get('frame')}"
        case _:
            return vocabulary_name(name)
    return words if name.startswith(str(kind)) else f"{name} ({words})"


def member_of(name: str, pieces: object) -> str:
    """A vocabulary in words, k-mers by how many pieces they are."""
    k = next((k for k in range(1, MOST_K + 1) if 4**k == pieces), None)
    return member_name(name, {"kind": "kmer", "k": k}) if name.startswith("kmer") and k else vocabulary_name(name)


def arm_name(arm: dict[str, Any]) -> str:
    start = str(arm.get("start", "?"))
    return f"{vocabulary_name(arm.get('vocabulary', '?'))}, {STARTS.get(start, start)}"


def percent(fraction: object) -> str:
    return f"{fraction * 100:.3g}\u00a0%" if isinstance(fraction, int | float) else "–"


def entries(result: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """A section that is a list of rows; empty when the run has none."""
    rows = result.get(key)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def section(result: dict[str, Any], key: str) -> dict[str, Any]:
    """A section that is an object; empty when the run has none."""
    value = result.get(key)
    return value if isinstance(value, dict) else {}


def replaced_nothing(found: dict[str, Any]) -> bool:
    """Whether this run's head is not the champion: another version holds the alias, or nobody promoted it."""
    holder = found.get("champion_version")
    if holder is None:
        return found.get("promoted") is False
    return str(holder) != str(found.get("version"))


def head_state(found: dict[str, Any]) -> str:
    """What became of this run's head, in words."""
    if not replaced_nothing(found):
        return f"this run's head (version {found.get('version', '?')}) is the champion"
    holder = found.get("champion_version")
    other = f"replace champion version {holder}" if holder is not None else "become champion"
    return f"this run's head (version {found.get('version', '?')}) did not {other}"


def verdict(comparison: dict[str, Any]) -> str:
    """What a paired comparison allows one to say: "better" only where it says so of itself, by its adjusted p."""
    match comparison.get("sign"):
        case 1:
            return f"{spoken(comparison.get('a'))} is better"
        case -1:
            return f"{spoken(comparison.get('b'))} is better"
        case 0:
            return "no difference shown"
    return "not compared"
