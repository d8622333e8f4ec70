"""Encoders of others as baselines: any architecture that transformers itself has, frozen, with a linear probe.

Code that comes with a model is never run. What such an encoder was pretrained on is unknown (SPEC R28).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.tasks import baselines
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.results import ArmResult
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task

PREFIX = "hf:"
BATCH_TOKENS = 8192
MOST_UNKNOWN = 0.5
"""Share of unknown tokens from which a tokenizer does not read nucleotides."""
_NO_LIMIT = 1_000_000  # tokenizers without one say 1e30
_RESERVED = 2  # positions that some architectures keep for padding


@dataclass(frozen=True)
class HfEncoder:
    """A frozen encoder and its tokenizer.

    Attributes:
        name: as it was asked for, with `PREFIX`.
        model: in evaluation mode; gives hidden states.
        tokenizer: its own.
        limit: most tokens of a document, special ones included.
    """

    name: str
    model: Any
    tokenizer: Any
    limit: int
    _known: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def __call__(self, sequences: Sequence[str]) -> NDArray[np.float32]:
        """Mean hidden state over the tokens that are not special, (N, D), each sequence computed once.

        A sequence of more tokens than `limit` is read in pieces and every token counts alike.

        Raises:
            InputError: the tokenizer does not know nucleotides.
        """
        new = [sequence for sequence in dict.fromkeys(sequences) if sequence not in self._known]
        documents = [(sequence, document) for sequence in new for document in self._documents(sequence)]
        totals: dict[str, tuple[NDArray[np.float32], int]] = {}
        for batch in _of_like_length(documents):
            sums_BD, tokens_B = self._sums([document for _, document in batch])
            for (sequence, _), sum_D, tokens in zip(batch, sums_BD, tokens_B, strict=True):
                before_D, seen = totals.get(sequence, (np.zeros_like(sum_D), 0))
                totals[sequence] = before_D + sum_D, seen + int(tokens)
        self._known.update(
            {sequence: (total_D / max(1, tokens)).astype(np.float32) for sequence, (total_D, tokens) in totals.items()}
        )
        return np.stack([self._known[sequence] for sequence in sequences])

    def _documents(self, sequence: str) -> list[tuple[list[int], list[int]]]:
        """(ids, 1 where a token is special) of each piece."""
        made = self.tokenizer(sequence, return_special_tokens_mask=True, verbose=False)
        ids, special = made["input_ids"], made["special_tokens_mask"]
        if len(ids) > self.limit:
            if len(sequence) < 2:
                raise InputError(f"{self.name}: one letter is more than {self.limit} tokens; use another encoder")
            half = len(sequence) // 2
            return self._documents(sequence[:half]) + self._documents(sequence[half:])
        unknown = self.tokenizer.unk_token_id
        content = [token for token, extra in zip(ids, special, strict=True) if not extra]
        known_letters = sequence.replace("N", "")
        if unknown is not None and known_letters and content.count(unknown) > MOST_UNKNOWN * len(content):
            raise InputError(
                f"{self.name}: its tokenizer does not know {known_letters[:12]}…; give an encoder of nucleotides"
            )
        return [(ids, [int(extra or token == unknown) for token, extra in zip(ids, special, strict=True)])]

    @torch.inference_mode()
    def _sums(self, documents: list[tuple[list[int], list[int]]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Sum of the hidden states of content tokens, (B, D), and how many they are."""
        longest = max(len(ids) for ids, _ in documents)
        ids_BT = torch.full((len(documents), longest), self.tokenizer.pad_token_id or 0)
        inside_BT, content_BT = torch.zeros_like(ids_BT), torch.zeros_like(ids_BT)
        for row, (ids, special) in enumerate(documents):
            ids_BT[row, : len(ids)] = torch.tensor(ids)
            inside_BT[row, : len(ids)] = 1
            content_BT[row, : len(ids)] = 1 - torch.tensor(special)
        hidden_BTD = self.model(input_ids=ids_BT, attention_mask=inside_BT).last_hidden_state.float()
        return (hidden_BTD * content_BT[..., None]).sum(1).numpy(), content_BT.sum(1).numpy()


def _of_like_length(documents: list[tuple[str, Any]]) -> Iterator[list[tuple[str, Any]]]:
    """Batches of falling length, of at most `BATCH_TOKENS` with padding or one document."""
    left = sorted(documents, key=lambda document: -len(document[1][0]))
    while left:
        size = max(1, BATCH_TOKENS // len(left[0][1][0]))
        yield left[:size]
        left = left[size:]


def load(name: str) -> HfEncoder:
    """An encoder from a local folder, without network, or by its hub id.

    Args:
        name: "hf:FOLDER" or "hf:OWNER/NAME".

    Raises:
        InputError: transformers is not installed; no such model; one that needs its own code; weights that are missing
            or do not fit.
    """
    try:
        import transformers
    except ImportError as error:
        raise InputError(f"{name}: transformers is not installed; pip install 'genomics-fm[hf]'") from error
    place = name.removeprefix(PREFIX)
    local = Path(place).is_dir()
    if not local and (place.startswith((".", "/", "~")) or place.count("/") > 1):
        raise InputError(f"{name}: no such folder; give one with config.json, weights and tokenizer, or a hub id")
    asked = {"local_files_only": local, "trust_remote_code": False}
    try:
        config, _ = transformers.PretrainedConfig.get_config_dict(place, local_files_only=local)
        if not config.get("model_type"):
            raise InputError(f"{name}: no config.json that names an architecture; give a folder of transformers")
        if config["model_type"] not in transformers.CONFIG_MAPPING:
            raise InputError(
                f"{name}: {config['model_type']} is no architecture of transformers {transformers.__version__}, and "
                "code that comes with a model is not run; use another encoder"
            )
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, **asked)
        model, report = transformers.AutoModel.from_pretrained(place, output_loading_info=True, **asked)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{name}: cannot be opened ({reason}); check the folder or id") from error
    missing = sorted(key for key in report["missing_keys"] if "pooler" not in key)
    if missing:
        raise InputError(f"{name}: {len(missing)} weights are not in its files, {missing[0]} for one; use a whole one")
    model = model.get_encoder() if model.config.is_encoder_decoder else model
    return HfEncoder(name, model.float().eval(), tokenizer, _limit(model.config, tokenizer))


def _limit(config: Any, tokenizer: Any) -> int:
    """Most tokens of a document."""
    positions = getattr(config, "max_position_embeddings", None) or _NO_LIMIT
    return int(min(tokenizer.model_max_length, positions - _RESERVED, _NO_LIMIT))


def probe(task: Task, encoder: HfEncoder, train: Rows, fraction: float = 1.0, capped: bool = False) -> ArmResult:
    """Logistic or ridge regression of a frozen encoder's mean states; of both strands' mean, where there are two (R20).

    Args:
        task: rows and question.
        encoder: from `load`.
        train: training rows used.
        fraction: what share of them this is, for the record.
        capped: for the record.

    Raises:
        InputError: a "per-base" task.
    """
    if task.problem.kind == "per-base":
        raise InputError(f"{encoder.name}: a class of every base is not a question to pooled states; leave it out")

    def fit(problem: Problem, rows: Rows, validation: Rows) -> baselines.Fitted:
        def features(sequences: Sequence[str]) -> NDArray[np.float32]:
            if problem.stranded:
                return encoder(sequences)
            turned = encoder([*map(reverse_complement, sequences)])
            return np.mean([encoder(sequences), turned], axis=0, dtype=np.float32)

        fitted = baselines.linear(problem, rows, validation, features)
        return baselines.Fitted(fitted.predict, fitted.chosen | {"pretraining data": "unknown"})

    return baselines.score(task, encoder.name, fit, train, fraction, capped)
