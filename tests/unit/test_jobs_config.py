from dataclasses import asdict, dataclass, field
from typing import Literal

import pytest

from genomics_fm.errors import InputError
from jobs.config import debug_asked, parse, validate


@dataclass(frozen=True)
class Inner:
    steps: int = 300
    rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.98)
    spans: dict[str, int] = field(default_factory=lambda: {"bpe": 2300, "kmer": 510})
    kind: Literal["alibi", "ape"] = "alibi"


@dataclass(frozen=True)
class Outer:
    genomes: tuple[str, ...] = field(default=("a.fa",), metadata={"help": "files; 100 % of them"})
    name: str = ""
    tracking: str | None = "sqlite:///x"
    cap: int | None = None
    gpu: bool = False
    keep: bool = True
    learning_rates: tuple[float, ...] = (1e-3,)
    inner: Inner = field(default_factory=Inner)


@dataclass(frozen=True)
class Files:
    files: tuple[str, ...] = field(default=(), metadata={"flag": ""})
    name: str = ""


PRESETS = {"default": Outer(), "smoke": Outer(name="small", inner=Inner(steps=4))}


def read(*arguments: str) -> Outer:
    return parse(PRESETS, arguments, "python -m jobs.x")[0]


def test_without_flags_the_first_preset_stands() -> None:
    assert parse(PRESETS, [], "x") == (Outer(), False)
    assert read("--preset", "smoke") == PRESETS["smoke"]


def test_flags_override_a_preset_wherever_they_stand() -> None:
    assert read("--name", "mine", "--preset", "smoke") == Outer(name="mine", inner=Inner(steps=4))
    assert read("--preset=smoke", "--inner.steps=7") == Outer(name="small", inner=Inner(steps=7))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--inner.steps", "5"], Outer(inner=Inner(steps=5))),
        (["--inner.rate", "2e-3"], Outer(inner=Inner(rate=2e-3))),
        (["--inner.betas", "0.5", "0.6"], Outer(inner=Inner(betas=(0.5, 0.6)))),
        (["--inner.kind", "ape"], Outer(inner=Inner(kind="ape"))),
        (["--inner.spans", "bpe=1000"], Outer(inner=Inner(spans={"bpe": 1000, "kmer": 510}))),
        (["--genomes", "b.fa", "c.fa", "--gpu"], Outer(genomes=("b.fa", "c.fa"), gpu=True)),
        (["--genomes"], Outer(genomes=())),
        (["--learning-rates", "1", "2"], Outer(learning_rates=(1.0, 2.0))),
        (["--no-keep"], Outer(keep=False)),
        (["--no-gpu", "--keep"], Outer()),
        (["--tracking", "none"], Outer(tracking=None)),
        (["--cap", "9"], Outer(cap=9)),
        (["--cap", "none"], Outer()),
        (["--name", "none"], Outer(name="none")),
        (["--name="], Outer(name="")),
    ],
)
def test_values(arguments: list[str], expected: Outer) -> None:
    found = read(*arguments)
    assert found == expected
    assert repr(found) == repr(expected)  # types too


@pytest.mark.parametrize(
    ("argument", "nearest"),
    [("--inner.step", "--inner.steps"), ("--genome", "--genomes"), ("--learning_rates", "--learning-rates"),
     ("--no-gpus", "--no-gpu"), ("--presets", "--preset"), ("--inner.stepz=3", "--inner.steps")],
)  # fmt: skip
def test_an_unknown_flag_names_the_nearest(argument: str, nearest: str) -> None:
    with pytest.raises(
        InputError, match=rf"^python -m jobs.x: unknown argument '{argument}'; did you mean {nearest}\?"
    ):
        read(argument)


def test_a_flag_like_no_other_points_to_help() -> None:
    with pytest.raises(InputError, match=r"unknown argument '--qqqqqqqqqqqq'; see --help"):
        read("--qqqqqqqqqqqq", "1")
    with pytest.raises(InputError, match="unknown argument 'stray'"):
        read("stray")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--inner.steps", "x"], r"--inner\.steps: .*integer.*got 'x'"),
        (["--inner.steps", "1.5"], r"--inner\.steps: .*integer.*got '1.5'"),
        (["--inner.rate", "fast"], r"--inner\.rate: .*number.*got 'fast'"),
        (["--learning-rates", "1", "b"], r"--learning-rates\.1: .*number.*got 'b'"),
        (["--inner.betas", "0.5"], r"--inner\.betas"),
        (["--inner.kind", "mixed"], r"--inner\.kind: .*'alibi' or 'ape'.*got 'mixed'"),
        (["--inner.spans", "bpe=long"], r"--inner\.spans\.bpe: .*integer.*got 'long'"),
        (["--inner.spans", "bpe"], r"--inner\.spans: 'bpe' is not NAME=VALUE"),
        (["--cap", "some"], r"--cap: .*integer.*got 'some'"),
        (["--preset", "huge"], r"--preset: invalid choice: 'huge'"),
        (["--name"], r"--name: expected one argument"),
    ],
)
def test_a_wrong_value_names_its_flag(arguments: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        read(*arguments)


def test_help_lists_every_flag_with_the_presets_values(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        read("--preset", "smoke", "--help")
    assert end.value.code == 0
    text = capsys.readouterr().out
    for flag in ("--genomes", "--inner.steps", "--no-gpu", "--inner.spans", "--learning-rates", "--debug"):
        assert flag in text
    assert "(preset: 4)" in text and "(preset: 'small')" in text and "100 % of them" in text


def test_debug_is_told_apart_from_the_config() -> None:
    assert parse(PRESETS, ["--debug", "--name", "a"], "x") == (Outer(name="a"), True)
    assert debug_asked(["--name", "a", "--debug"]) and not debug_asked(["--name", "a"])


def test_a_config_survives_the_way_to_a_worker_as_plain_values() -> None:
    config = Outer(genomes=("b",), inner=Inner(betas=(0.1, 0.2), spans={"bpe": 3}))
    assert validate(Outer, asdict(config)) == config
    assert validate(Outer, {"inner": {"steps": 3}}) == Outer(inner=Inner(steps=3))


@pytest.mark.parametrize(
    ("values", "says"),
    [({"nam": "x"}, r"^nam: unknown key; did you mean name\?"),
     ({"inner": {"step": 3}}, r"^inner\.step: unknown key; did you mean steps\?"),
     ({"inner": {"zzzzzz": 3}}, r"^inner\.zzzzzz: unknown key; leave it out")],
)  # fmt: skip
def test_an_unknown_key_is_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        validate(Outer, values)


def test_what_stands_without_a_flag_may_stand_anywhere() -> None:
    for line in ("a b --name n", "--name n a b", "a --name n b"):
        assert parse({"only": Files()}, line.split(), "prog") == (Files(("a", "b"), "n"), False)
    assert parse({"only": Files()}, [], "prog")[0] == Files()
    with pytest.raises(InputError, match="unknown argument '--nam'; did you mean --name"):
        parse({"only": Files()}, ["a", "--nam", "n"], "prog")
