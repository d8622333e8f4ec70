"""The ensemble vocabulary: the union of vocabularies by string, each announced by a prompt token (SPEC B3–B5).

Ids are only ever appended. First the special tokens, then for each member in order: its pieces that are not
yet there, with its prompt. The first member's prompt follows its pieces, every later prompt precedes its
member's new pieces, which is the published layout: BPE pieces, `[BPE]`, `[KMER]`, the remaining 6-mers.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from genomics_fm.artefacts import canonical_json, sha256_json, write_json
from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.storage import file_at
from genomics_fm.vocabulary.kinds import member_from_json
from genomics_fm.vocabulary.member import Member
from genomics_fm.vocabulary.special import CLS_ID, SEP_ID, SPECIAL_TOKENS, UNK_ID, UNKNOWN
from genomics_fm.vocabulary.tokenizer_file import tokenizer_json

FORMAT_VERSION = 1
FILE_NAME = "vocabulary.json"
"""What an ensemble is called in a folder of a corpus, an encoder or a head."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@njit(cache=True, nogil=True)
def _rename(table: NDArray[np.int32], ids_T: NDArray[np.int32]) -> None:  # pragma: no cover
    """Replace ids by what stands for them in `table`, whose last entry stands for `UNKNOWN`."""
    for index in range(ids_T.size):
        ids_T[index] = table[ids_T[index]]


def prompt_of(name: str) -> str:
    """The token that announces a vocabulary."""
    return f"[{name.upper()}]"


def check_names(names: Iterable[str]) -> None:
    """Refuse names whose prompts could not be told from each other, from special tokens or from text."""
    taken = list(SPECIAL_TOKENS)
    for name in names:
        if not _NAME.fullmatch(name):
            raise InputError(f"vocabulary {name!r}: a name is a letter and then letters, digits, _, -; rename it")
        if prompt_of(name) in taken:
            raise InputError(f"vocabulary {name!r}: {prompt_of(name)} is another token; choose another name")
        taken.append(prompt_of(name))


@dataclass(frozen=True)
class Ensemble:
    """Named vocabularies over one table of ids.

    Attributes:
        members: vocabularies by name, in the order they were added.
        training: where they come from (sample's sha256, nucleotides); not part of the hash.
    """

    members: dict[str, Member]
    training: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        check_names(self.members)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.members)

    @staticmethod
    def prompt(name: str) -> str:
        return prompt_of(name)

    @cached_property
    def tokens(self) -> list[str]:
        """Every token, by id."""
        tokens = list(SPECIAL_TOKENS)
        seen = set(tokens)
        for number, (name, member) in enumerate(self.members.items()):
            new = [piece for piece in member.pieces if piece not in seen]
            prompt = self.prompt(name)
            tokens += [*new, prompt] if number == 0 else [prompt, *new]
            seen.update(new, [prompt])
        return tokens

    @property
    def size(self) -> int:
        return len(self.tokens)

    @cached_property
    def id_of(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}

    @cached_property
    def _to_ensemble(self) -> dict[str, np.ndarray]:
        """Local id → ensemble id by member; the last entry, reached by −1, is UNK."""
        return {
            name: np.array([self.id_of[piece] for piece in member.pieces] + [UNK_ID], dtype=np.int32)
            for name, member in self.members.items()
        }

    @cached_property
    def _from_ensemble(self) -> dict[str, np.ndarray]:
        tables = {}
        for name, forward in self._to_ensemble.items():
            backward = np.full(self.size, UNKNOWN, dtype=np.int64)
            backward[forward[:-1]] = np.arange(len(forward) - 1)
            tables[name] = backward
        return tables

    def member(self, name: str) -> Member:
        """The vocabulary called `name`.

        Raises:
            InputError: there is none; the message lists those there are.
        """
        if name not in self.members:
            raise InputError(f"vocabulary {name!r}: not in this ensemble; choose one of {', '.join(self.names)}")
        return self.members[name]

    def prompt_id(self, name: str) -> int:
        return self.id_of[self.prompt(name)]

    def piece_ids(self, name: str) -> np.ndarray:
        """Ensemble ids of a member's pieces, (V_member,) int32: no special token, no prompt."""
        self.member(name)
        return self._to_ensemble[name][:-1]

    def encode(self, name: str, sequence: str) -> np.ndarray:
        """Ensemble ids of a sequence's tokens in one vocabulary, (T,) int32, no special tokens added."""
        local_ids = self.member(name).encode(sequence)
        return self._to_ensemble[name][local_ids]

    def encode_many(self, name: str, letters_L: np.ndarray, offsets_D: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ensemble ids of many sequences' tokens, int32, and their offsets; see `Member.encode_many`."""
        ids_T, ends_D = self.member(name).encode_many(letters_L, offsets_D)
        _rename(self._to_ensemble[name], ids_T)
        return ids_T, ends_D

    def document(self, name: str, sequence: str) -> np.ndarray:
        """CLS, the vocabulary's prompt, the tokens, SEP: (T + 3,) int32 (R18)."""
        tokens = self.encode(name, sequence)
        return np.concatenate([[CLS_ID, self.prompt_id(name)], tokens, [SEP_ID]]).astype(np.int32)

    def decode(self, name: str, ids: np.ndarray) -> str:
        """The sequence behind the ids of `encode`; exact for A C G T, N where nothing known covers a base."""
        return self.member(name).decode(self._from_ensemble[name][ids])

    def intervals(self, name: str, ids: np.ndarray) -> np.ndarray:
        """Half-open base interval of each of the ids of `encode`, (T, 2) int64."""
        return self.member(name).intervals(self._from_ensemble[name][ids])

    def shared_pieces(self) -> int:
        """How many strings are pieces of more than one member."""
        pieces = [piece for member in self.members.values() for piece in member.pieces]
        return len(pieces) - len(set(pieces))

    def with_member(self, name: str, member: Member) -> "Ensemble":
        """A new ensemble with one more vocabulary; every id of this one keeps its meaning."""
        if name in self.members:
            raise InputError(f"vocabulary {name!r}: the ensemble has it already; choose another name")
        return Ensemble({**self.members, name: member}, self.training)

    def tokenizer_json(self, name: str) -> str:
        """`tokenizer.json` of the `tokenizers` library with the ids of `document`.

        Raises:
            InputError: overlapping k-mers and codons, which have none (R19).
        """
        member, prompt = self.member(name), self.prompt(name)
        ids = {token: self.id_of[token] for token in (*SPECIAL_TOKENS, prompt, *member.pieces)}
        return tokenizer_json(member, ids, prompt)

    @cached_property
    def sha256(self) -> str:
        """Hash of what the vocabulary does: members and the table of ids."""
        return hashlib.sha256(canonical_json([self._members_json(), self.tokens])).hexdigest()

    def _members_json(self) -> list[dict[str, Any]]:
        return [{"name": name, **member.to_json()} for name, member in self.members.items()]

    def as_json(self) -> dict[str, Any]:
        """What its file holds."""
        return {
            "format_version": FORMAT_VERSION,
            "members": self._members_json(),
            "tokens_sha256": sha256_json(self.tokens),
            "sha256": self.sha256,
            "training": self.training,
        }

    def save(self, path: Path) -> None:
        write_json(path, self.as_json())

    @classmethod
    def load(cls, path: str | Path) -> "Ensemble":
        """Read an ensemble from a path or a URI, and check it against the hash stored with it.

        Raises:
            InputError: no such file.
            CorruptArtefact: its parts disagree with the hash, or a newer format.
        """
        folder, name = file_at(path)
        value = folder.read_json(name, FORMAT_VERSION, "train one with `python -m jobs.train_vocabulary`")
        try:
            members = {m["name"]: member_from_json(m, str(path)) for m in value["members"]}
            ensemble = cls(members, value.get("training", {}))
            expected = value["sha256"]
        except (InputError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptArtefact(f"{path}: not a vocabulary ({error}); restore it or train it again") from error
        if ensemble.sha256 != expected:
            raise CorruptArtefact(f"{path}: does not match its own sha256; restore it or train it again")
        return ensemble
