"""From a preset and command-line flags to a frozen config.

Every leaf field of a job's config dataclass is a flag: `steps` is `--steps`, `training.steps` is
`--training.steps`. Values are validated by pydantic; an unknown flag is an error that names the nearest.
"""

import argparse
import dataclasses
import difflib
import sys
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn, TypeVar

import pydantic

from genomics_fm.errors import InputError

Config = TypeVar("Config")


class _Parser(argparse.ArgumentParser):
    """argparse whose complaints are `InputError`s."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{self.prog}: {message}; see --help")


def _leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, dataclasses.Field[Any], Any]]:
    """(dotted name, type, field, value) of every field that is not itself a dataclass.

    A field whose metadata has `flag=False` belongs to its preset and is no flag; `flag="as"` makes it `--as`, and
    `flag=""` what stands on the command line without a flag.
    """
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _leaves(value, f"{prefix}{field.name}.")
        elif field.metadata.get("flag", True) is not False:
            yield prefix + field.name, hints[field.name], field, value


def _is_sequence(hint: Any) -> bool:
    return typing.get_origin(hint) in (tuple, list)


def _is_optional(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType) and type(None) in typing.get_args(hint)


def _is_mapping(hint: Any) -> bool:
    return typing.get_origin(hint) is dict


def _value(flag: str, hint: Any, text: Any) -> Any:
    """What stands behind a flag, for pydantic: None for `none`, a dict for NAME=VALUE pairs, else as it is."""
    if _is_optional(hint) and text == "none":
        return None
    if not _is_mapping(hint):
        return text
    if bare := [pair for pair in text if "=" not in pair]:
        raise InputError(f"--{flag.replace('_', '-')}: {bare[0]!r} is not NAME=VALUE; write it like that")
    return dict(pair.split("=", 1) for pair in text)


def _parser(config: Any, presets: Sequence[str], prog: str, description: str) -> _Parser:
    parser = _Parser(prog=prog, description=description, allow_abbrev=False)
    parser.add_argument("--preset", choices=presets, default=presets[0], help=f"default: {presets[0]}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    for name, hint, field, value in _leaves(config):
        text = f"{field.metadata.get('help', '')} (preset: {value!r})".strip().replace("%", "%%")
        options: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": text}
        if hint is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif _is_mapping(hint):
            options |= {"nargs": "*", "metavar": "NAME=VALUE"}
        elif _is_sequence(hint):
            options |= {"nargs": "*", "metavar": name.rsplit(".", 1)[-1].upper()}
        else:
            options["metavar"] = name.rsplit(".", 1)[-1].upper()
        spelt = field.metadata.get("flag", name)
        if not spelt:
            del options["dest"]
            parser.add_argument(name, **options)
            continue
        parser.add_argument("--" + str(spelt).replace("_", "-"), **options)
    return parser


def _nested(config: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The config as nested dicts with the given dotted values put in; mappings keep what is not given."""
    values = dataclasses.asdict(config)
    for name, value in given.items():
        *parents, leaf = name.split(".")
        place = values
        for parent in parents:
            place = place[parent]
        place[leaf] = {**place[leaf], **value} if isinstance(value, dict) else value
    return values


def _refuse_unknown(config_type: Any, values: dict[str, Any], prefix: str = "") -> None:
    """pydantic ignores unknown keys of a dataclass; we do not."""
    hints = typing.get_type_hints(config_type)
    for name, value in values.items():
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1, cutoff=0.5)
            raise InputError(f"{prefix}{name}: unknown key; {f'did you mean {near[0]}?' if near else 'leave it out'}")
        if dataclasses.is_dataclass(hints[name]) and isinstance(value, dict):
            _refuse_unknown(hints[name], value, f"{prefix}{name}.")


def validate(config_type: type[Config], values: dict[str, Any]) -> Config:
    """Build a config dataclass from nested dicts, with types checked and strings converted.

    Raises:
        InputError: a value has the wrong type, or a key is unknown; names the key.
    """
    _refuse_unknown(config_type, values)
    try:
        return pydantic.TypeAdapter(config_type).validate_python(values)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"--{key.replace('_', '-')}: {first['msg']} (got {first['input']!r})") from error


def parse(
    presets: dict[str, Config], arguments: Sequence[str], prog: str, description: str = ""
) -> tuple[Config, bool]:
    """Read a command line into (config, debug).

    Args:
        presets: named configs of one type; the first is the default.
        arguments: the command line without the program's name.
        prog: how the command is called, for messages.
        description: one line for `--help`.

    Raises:
        InputError: an unknown flag (the nearest is named) or a bad value.
    """
    first = next(iter(presets.values()))
    known, _ = _parser(first, list(presets), prog, description).parse_known_intermixed_args(
        [a for a in arguments if a not in ("-h", "--help")]
    )
    parser = _parser(presets[known.preset], list(presets), prog, description)
    options, rest = parser.parse_known_intermixed_args(arguments)
    if rest:
        flags = [option for action in parser._actions for option in action.option_strings]
        near = difflib.get_close_matches(rest[0].split("=")[0], flags, n=1, cutoff=0.5)
        raise InputError(
            f"{prog}: unknown argument {rest[0]!r}; {f'did you mean {near[0]}?' if near else 'see --help'}"
        )
    given = {k: v for k, v in vars(options).items() if k not in ("preset", "debug")}
    base = presets[known.preset]
    hints = {name: hint for name, hint, _, _ in _leaves(base)}
    given = {name: _value(name, hints[name], text) for name, text in given.items()}
    return validate(type(base), _nested(base, given)), options.debug


def debug_asked(arguments: Sequence[str] | None = None) -> bool:
    """Whether `--debug` stands on the command line; needed before the line has been parsed."""
    return "--debug" in (sys.argv[1:] if arguments is None else arguments)
