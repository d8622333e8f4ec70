"""What `--members` asks for, and training with progress."""

import itertools
import time
from collections.abc import Iterable

import pytest

from genomics_fm.errors import InputError
from genomics_fm.vocabulary.blocks import BlockVocabulary, CodonVocabulary
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.kmer import KmerVocabulary
from jobs import vocabulary_members
from jobs.vocabulary_members import TEXT_NT, Training, cut, planned, train
from tests.corpora import dna


def test_members_have_names_kinds_and_numbers() -> None:
    assert planned(("bpe", "kmer"), 4096, 6) == {"bpe": 4096, "kmer": KmerVocabulary(6)}
    specs = ("bpe:300", "fine=bpe:1024", "kmer:3", "single", "block:4", "codon:0", "frame=codon:2")
    assert planned(specs, 4096, 6) == {
        "bpe300": 300,
        "fine": 1024,
        "kmer3": KmerVocabulary(3),
        "single": KmerVocabulary(1),
        "block4": BlockVocabulary(4),
        "codon0": CodonVocabulary(0),
        "frame": CodonVocabulary(2),
    }


@pytest.mark.parametrize(
    ("specs", "says"),
    [
        ((), "members (none): give at least one"),
        (("kmer", "kmer:6", "kmer"), "--members kmer: kmer is there already"),
        (("bpe", "kmer:3:4"), "--members kmer:3:4: give [NAME=]KIND[:NUMBER]"),
        (("unigram",), "kind 'unigram': unknown, or needs training; choose one of single, kmer, block, codon"),
        (("codon",), "kind codon: no frame given"),
        (("codon:3",), "frame 3: give 0, 1 or 2"),
        (("single:2",), "kind single: has no number"),
        (("bpe:8",), "bpe_size 8: give at least 9"),
        (("mask=kmer:3",), "[MASK] is another token"),
        (("a=kmer:3", "A=kmer:4"), "[A] is another token"),
    ],
)
def test_what_cannot_be_made_is_refused(specs: tuple[str, ...], says: str) -> None:
    with pytest.raises(InputError) as caught:
        planned(specs, 4096, 6)
    assert says in str(caught.value)


def test_texts_are_cut_where_they_are_long_and_only_there() -> None:
    short, long = dna(TEXT_NT, 1), dna(2 * TEXT_NT + 7, 2)
    parts = cut([short, "ACGT", long])
    assert [len(part) for part in parts] == [TEXT_NT, 4, TEXT_NT, TEXT_NT, 7]
    assert "".join(parts) == short + "ACGT" + long


def test_training_says_how_far_it_is_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary_members, "LOOK_SECONDS", 0.01)
    texts = [dna(4_000, seed) for seed in range(10)]
    trained = BpeVocabulary.train
    seen: list[Training] = []

    def wait_until_said(read: int) -> None:
        until = time.monotonic() + 30
        while read not in [step.read for step in seen] and time.monotonic() < until:
            time.sleep(0.005)

    def slowly(reading: Iterable[str], size: int) -> BpeVocabulary:
        read = []
        for text in reading:
            read.append(text)
            if len(read) == 4:
                wait_until_said(12_000)  # the fourth counts once it is done with
        wait_until_said(40_000)
        return trained(read, size)

    monkeypatch.setattr(BpeVocabulary, "train", slowly)
    steps = train({"bpe": 100, "kmer": KmerVocabulary(3)}, texts)
    with pytest.raises(StopIteration) as end:
        for _ in itertools.count():
            seen.append(next(steps))
    assert end.value.value == {"bpe": trained(texts, 95), "kmer": KmerVocabulary(3)}
    read = [step.read for step in seen]
    assert read == sorted(read) and read[-1] == 40_000
    assert 12_000 in read
    assert any("of 40,000 nt read: " in str(step) for step in seen)
    assert any("40,000 nt read, merging for" in str(step) for step in seen)
