"""Exclusion by intervals and by sequences, against a slow version that looks at every place."""

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from genomics_fm.corpus.exclusion import Exclusion, Masker
from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement

SHA = "ab" * 32


def _drawn(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


def _bed(tmp_path: Path, lines: str, assembly: str = "asm", sha: str = SHA, name: str = "out.bed") -> str:
    path = tmp_path / name
    path.write_text(f"# assembly: {assembly}\n# assembly_sha256: {sha}\n{lines}")
    return str(path)


def _fasta(tmp_path: Path, *sequences: str, name: str = "out.fa") -> str:
    path = tmp_path / name
    path.write_text("".join(f">s{number}\n{sequence}\n" for number, sequence in enumerate(sequences)))
    return str(path)


def _mask(masker: Masker, letters: str, chunk: int = 10_000, contig: str = "c") -> str:
    chunks = (letters[i : i + chunk].encode() for i in range(0, len(letters), chunk))
    return b"".join(masker.mask(contig, chunks)).decode()


def _words(sequence: str) -> list[str]:
    return [min(w, reverse_complement(w)) for w in (sequence[i : i + 31] for i in range(len(sequence) - 30))]


def _slow(genome: str, sequences: list[str]) -> str:
    """Every place, by R9."""
    wanted = {word for sequence in sequences for word in _words(sequence) if "N" not in word}
    inside = [word in wanted for word in _words(genome)]
    place = min(min(map(len, sequences)), max(len(genome), 31))
    letters = list(genome)
    for start in range(len(genome) - place + 1):
        if sum(inside[start : start + place - 30]) > (place - 30) / 2:
            letters[start : start + place] = "X" * place
    return "".join(letters)


def _runs(letters: str) -> int:
    return sum(now == "X" != before for before, now in pairwise("A" + letters))


def test_intervals_with_margins_are_clipped_merged_and_counted(tmp_path: Path) -> None:
    genome = _drawn(1000, 1)
    bed = _bed(tmp_path, "c\t30\t40\nc\t100\t110\nc\t210\t220\nc\t216\t230\nc\t980\t1000\nother\t1\t2\n")
    expected = "X" * 280 + genome[280:930] + "X" * 70
    for chunk in (1, 7, 333, 1000):
        masker = Exclusion.load([bed], [], margin_bp=50).of("asm")
        assert _mask(masker, genome, chunk) == expected
        assert dict(masker.counts) == {"excluded_nt: interval": 350}
        assert masker.seen == {"c"}
    assert _mask(masker, genome, contig="third") == genome
    assert _mask(Exclusion.load([bed], [], 0).of("asm"), genome).count("X") == 10 + 10 + 20 + 20
    assert _mask(Exclusion.load([bed], []).of("asm"), genome) == "X" * 1000  # 2,300 nt by default
    assert _mask(Exclusion.load([bed], []).of("another"), genome) == genome


@pytest.mark.parametrize("seed", range(12))
def test_places_of_sequences_are_those_a_slow_look_at_each_finds(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    shortest = draw.choice([31, 32, 33, 60, 61, 90])
    sequences = [_drawn(shortest + draw.choice([0, 1, 40]), 100 + i) for i in range(4)] + [_drawn(shortest, 99)]
    parts = []
    for _ in range(30):
        whole = draw.choice(sequences)
        start = draw.randrange(len(whole))
        piece = list(whole[start : start + draw.choice([20, 45, 200])] if draw.random() < 0.6 else whole)
        if draw.random() < 0.5:
            piece[draw.randrange(len(piece))] = draw.choice("ACGTN")
        text = "".join(piece)
        parts += [reverse_complement(text) if draw.random() < 0.5 else text, _drawn(draw.choice([0, 1, 29, 80]), seed)]
    genome = "".join(parts)
    expected = _slow(genome, sequences)
    assert 0 < expected.count("X") < len(genome)
    for chunk in (1, draw.randrange(2, 100), len(genome)):
        masker = Exclusion.load([], [_fasta(tmp_path, *sequences)]).of("any")
        assert _mask(masker, genome, chunk) == expected
        assert masker.counts["excluded_nt: sequence"] == expected.count("X")
        assert masker.counts["excluded_places: sequence"] == _runs(expected)


@pytest.mark.parametrize(
    ("length", "shared", "gone"), [(80, 80, True), (80, 55, False), (80, 56, True), (31, 31, True)]
)
def test_a_contig_shorter_than_a_place_is_one(length: int, shared: int, gone: bool, tmp_path: Path) -> None:
    # 80 nt hold 50 31-mers; 56 shared nt hold 26 of them.
    excluded = _drawn(200, 1)
    contig = excluded[70 : 70 + shared] + _drawn(length - shared, 2)
    masker = Exclusion.load([], [_fasta(tmp_path, excluded)]).of("")
    assert _mask(masker, contig, 13) == ("X" * length if gone else contig)
    assert masker.counts["excluded_places: sequence"] == gone


def test_long_sequences_are_recognised_by_pieces_of_2300_nt(tmp_path: Path) -> None:
    excluded = _drawn(20_000, 1)
    exclusion = Exclusion.load([], [_fasta(tmp_path, excluded)])
    assert exclusion.place_bp == 2300
    masked = _mask(exclusion.of(""), _drawn(5000, 2) + excluded[7000:9300] + _drawn(5000, 3))
    assert masked[5000:7300] == "X" * 2300
    assert 2300 < masked.count("X") <= 2 * 2300


def test_what_both_exclude_is_counted_once_as_interval(tmp_path: Path) -> None:
    excluded = _drawn(100, 1)
    genome = _drawn(300, 2) + excluded + _drawn(300, 3)
    exclusion = Exclusion.load([_bed(tmp_path, "c\t350\t500\n")], [_fasta(tmp_path, excluded)], 0)
    masker = exclusion.of("asm")
    masked = _mask(masker, genome, 64)
    assert masked[300:500] == "X" * 200 and masked.count("X") == sum(
        masker.counts[reason] for reason in ("excluded_nt: interval", "excluded_nt: sequence")
    )
    assert masker.counts["excluded_nt: interval"] == 150 and masker.counts["excluded_places: sequence"] == 1


def test_letters_are_passed_on_as_soon_as_no_later_one_can_exclude_them(tmp_path: Path) -> None:
    exclusion = Exclusion.load([_bed(tmp_path, "c\t0\t5\n")], [_fasta(tmp_path, _drawn(200, 1))], 0)
    given = 0

    def letters() -> Iterator[bytes]:
        nonlocal given
        for _ in range(100):
            given += 150
            yield b"A" * 150

    passed = 0
    for chunk in exclusion.of("asm").mask("c", letters()):
        passed += len(chunk)
        assert passed == given or given - passed == 199
    assert passed == 15_000
    plain = Exclusion.load([], []).of("asm")
    assert list(plain.mask("c", iter([b"ACG", b"", b"TN"]))) == [b"ACG", b"TN"]


def test_identity_is_of_content(tmp_path: Path) -> None:
    bed, again = _bed(tmp_path, "c\t5\t9\nc\t7\t20\n"), _bed(tmp_path, "c\t5\t20\tname\n", name="b.bed")
    sequences = [_drawn(100, 1), _drawn(90, 2)]
    fasta = _fasta(tmp_path, *sequences)
    turned = _fasta(tmp_path, *(reverse_complement(s) for s in sequences[::-1]), name="b.fa")
    first = Exclusion.load([bed], [fasta]).identity()
    assert first == Exclusion.load([again], [turned]).identity()
    others = [
        Exclusion.load([], []),
        Exclusion.load([bed], []),
        Exclusion.load([bed], [fasta], 10),
        Exclusion.load([_bed(tmp_path, "c\t5\t21\n", name="c.bed")], [fasta]),
        Exclusion.load([_bed(tmp_path, "c\t5\t20\n", sha="cd" * 32, name="d.bed")], [fasta]),
        Exclusion.load([_bed(tmp_path, "c\t5\t20\n", assembly="b", name="e.bed")], [fasta]),
        Exclusion.load([bed], [_fasta(tmp_path, sequences[0], name="c.fa")]),
    ]
    assert len({str(exclusion.identity()) for exclusion in others} | {str(first)}) == 8


def test_a_bed_for_another_genome_is_refused(tmp_path: Path) -> None:
    bed = _bed(tmp_path, "c\t5\t9\nd\t1\t2\n")
    exclusion = Exclusion.load([bed], [])
    masker = exclusion.of("asm")
    _mask(masker, _drawn(100, 1))
    with pytest.raises(InputError, match=r"out.bed: made for an asm with .*(ab){32}.*has 00;.*genomics-fm check"):
        masker.finish("00")
    with pytest.raises(InputError, match=r"out.bed:4: asm has no contig 'd'.*genomics-fm locate"):
        masker.finish(SHA)
    masker.meet("d")
    masker.meet("e")
    masker.finish(SHA)
    assert masker.seen == {"c", "d"}
    exclusion.of("another").finish("00")
    exclusion.unused({"asm", "another"})
    with pytest.raises(InputError, match=r"out.bed: assembly 'asm' is in no source \(they have another\); correct"):
        exclusion.unused({"another", ""})


def test_an_interval_past_the_end_is_refused(tmp_path: Path) -> None:
    masker = Exclusion.load([_bed(tmp_path, "c\t5\t101\nc\t7\t9\n")], [], 0).of("asm")
    with pytest.raises(InputError, match=r"out.bed:3: ends at 101, past the end of c \(100 nt\)"):
        _mask(masker, _drawn(100, 1))


@pytest.mark.parametrize("header", ["", "# assembly: asm\n", f"# assembly_sha256: {SHA}\n"])
def test_a_bed_that_does_not_say_what_it_is_of(header: str, tmp_path: Path) -> None:
    path = tmp_path / "bare.bed"
    path.write_text(header + "c\t5\t9\n")
    with pytest.raises(InputError, match=r"bare.bed:1: no '# assembly: NAME'.*genomics-fm locate"):
        Exclusion.load([str(path)], [])


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        ("A" * 30, "out.fa:3: 's1' has 30 nt, too few.*at least 31"),
        (_drawn(25, 1) + "N" + _drawn(56, 2), "out.fa:3: N breaks half of the 31-mers of 's1'; cut it at its N"),
        ("ACGTTZ" * 20, "out.fa:4"),
    ],
)
def test_sequences_that_cannot_be_recognised(sequence: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        Exclusion.load([], [_fasta(tmp_path, _drawn(100, 1), sequence)])


def test_a_sequence_that_n_does_not_break_enough(tmp_path: Path) -> None:
    # 57 letters after the N hold 27 of the 53 31-mers; with 56 it would be 26 of 52.
    sequence = _drawn(25, 1) + "N" + _drawn(57, 2)
    exclusion = Exclusion.load([], [_fasta(tmp_path, sequence)])
    assert exclusion.place_bp == 83 and exclusion.wanted is not None and exclusion.wanted.kmers.size == 27
    assert _mask(exclusion.of(""), _drawn(200, 3) + sequence + _drawn(200, 4))[200:283] == "X" * 83


def test_a_negative_margin() -> None:
    with pytest.raises(InputError, match="margin_bp -1: give 0 or more"):
        Exclusion.load([], [], -1)
