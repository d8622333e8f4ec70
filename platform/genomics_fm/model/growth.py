"""A trained encoder learns to read one more vocabulary: no old id moves, new rows start where old ones are (B4)."""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genomics_fm.errors import CorruptArtefact, InputError
from genomics_fm.model.heads import MaskedLanguageModel
from genomics_fm.model.weights import EMBEDDING, TIED, load_encoder, load_into, save_encoder
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble
from genomics_fm.vocabulary.member import Member
from genomics_fm.vocabulary.special import UNK_ID

BY_TOKEN = (EMBEDDING, "cls.predictions.decoder.bias")
"""Tensors with a row a token; the decoder's weight is the embedding itself."""
_NEVER = np.iinfo(np.int64).max


def made_of(old: Ensemble, strings: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Spell strings with the pieces of an ensemble, each in the vocabulary that needs fewest tokens.

    Args:
        old: the ensemble; of two vocabularies that need as many tokens, its first is taken.
        strings: over A C G T.

    Returns:
        One entry a token: which string it is of, and its id.

    Raises:
        InputError: a string that no vocabulary covers, as one shorter than the only k.
    """
    letters_L = np.frombuffer("".join(strings).encode("ascii"), np.uint8)
    offsets_S = np.cumsum([0, *map(len, strings)])
    fewest_S = np.full(len(strings), _NEVER)
    spelled: list[tuple[NDArray[np.int64], NDArray[np.int32]]] = []
    for name in old.names:
        ids_T, ends_S = old.encode_many(name, letters_L, offsets_S)
        count_S = np.diff(ends_S)
        string_T = np.repeat(np.arange(len(strings)), count_S)
        count_S[string_T[ids_T == UNK_ID]] = 0
        better_S = (count_S > 0) & (count_S < fewest_S)
        fewest_S[better_S] = count_S[better_S]
        spelled = [(of[~better_S[of]], ids[~better_S[of]]) for of, ids in spelled]
        spelled.append((string_T[better_S[string_T]], ids_T[better_S[string_T]]))
    for missing in np.flatnonzero(fewest_S == _NEVER)[:1]:
        raise InputError(
            f"piece {strings[missing]}: no vocabulary of the encoder ({', '.join(old.names)}) spells it; "
            "add single nucleotides first, or longer words"
        )
    return np.concatenate([of for of, _ in spelled]), np.concatenate([ids for _, ids in spelled])


def grown(rows_V: Tensor, old: Ensemble, new: Ensemble) -> Tensor:
    """A tensor with a row for every token of `new`, from one with a row for every token of `old`.

    Old rows stay bit for bit; a new piece's is the mean of those it is `made_of`, a new prompt's that of the prompts.

    Raises:
        InputError: `new` does not begin with the tokens of `old`, or a piece cannot be spelled.
    """
    if new.tokens[: old.size] != old.tokens:
        raise InputError("the larger vocabulary does not begin with the smaller; make it with `with_member`")
    prompts = {new.prompt(name) for name in new.names}
    is_prompt = torch.tensor([token in prompts for token in new.tokens[old.size :]], dtype=torch.bool)
    pieces = [token for token in new.tokens[old.size :] if token not in prompts]
    of_T, ids_T = (torch.from_numpy(part.astype(np.int64)) for part in made_of(old, pieces))
    shape = (len(pieces), *rows_V.shape[1:])
    sums_P = torch.zeros(shape, dtype=torch.float64).index_add(0, of_T, rows_V[ids_T].double())
    count_P = torch.bincount(of_T, minlength=len(pieces)).reshape(-1, *[1] * (rows_V.ndim - 1))
    added = torch.empty(len(is_prompt), *rows_V.shape[1:], dtype=torch.float64)
    added[~is_prompt] = sums_P / count_P
    added[is_prompt] = rows_V[[old.prompt_id(name) for name in old.names]].double().mean(0)
    return torch.cat([rows_V, added.to(rows_V.dtype)])


def add_vocabulary(encoder: Path, name: str, member: Member, output: Path) -> tuple[Ensemble, int]:
    """Write an encoder folder like `encoder` that knows one more vocabulary.

    Args:
        encoder: folder of a pretrained encoder with its vocabulary.
        name: of the new vocabulary.
        member: the new vocabulary.
        output: folder to write; nothing may be in it.

    Returns:
        The larger ensemble, and how many tokens are new to it.

    Raises:
        InputError: the name is taken, a piece cannot be spelled, or something is in `output`.
        CorruptArtefact: encoder and vocabulary do not fit together.
    """
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise InputError(f"{output}: there already; choose a folder that does not exist or is empty")
    config, tensors, about = load_encoder(encoder)
    old = Ensemble.load(encoder / FILE_NAME)
    if old.size != config.vocabulary_size or about.get("vocabulary_sha256", old.sha256) != old.sha256:
        raise CorruptArtefact(
            f"{encoder / FILE_NAME}: not the vocabulary that the encoder was trained with; restore it"
        )
    new = old.with_member(name, member)
    tensors = tensors | {tensor: grown(tensors[tensor], old, new) for tensor in BY_TOKEN}
    model = MaskedLanguageModel(dataclasses.replace(config, vocabulary_size=new.size))
    load_into(model, tensors | {TIED: tensors[EMBEDDING]}, str(encoder))
    new.save(output / FILE_NAME)
    grown_from = [*about.get("grown_from", []), old.sha256]
    save_encoder(output, model, {**about, "vocabulary_sha256": new.sha256, "grown_from": grown_from})
    return new, new.size - old.size
