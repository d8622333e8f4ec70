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

from genomics_fm.artefacts import sha256_file
from genomics_fm.errors import InputError
from genomics_fm.genome.alphabet import reverse_complement
from genomics_fm.model.heads import Pooling
from genomics_fm.tasks import baselines, linear
from genomics_fm.tasks import probe as linear_probe
from genomics_fm.tasks.objective import objective_of
from genomics_fm.tasks.problem import Problem
from genomics_fm.tasks.results import ArmResult
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.scoring import Predictions, mean_of_strands
from genomics_fm.tasks.task import Task
from genomics_fm.tasks.trial_config import TrialConfig

PREFIX = "hf:"
SETTINGS = ("cap", "seed", "pooling", "class_weights", "pos_weight")
"""Of a trial, what decides a probe of such an encoder."""
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
        pooling: "mean" over content tokens; "cls": the first token, which its tokenizer must set before a sequence;
            "attention" is the mean too, as it is of our encoders before any training.
    """

    name: str
    model: Any
    tokenizer: Any
    limit: int
    pooling: Pooling
    _known: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def __call__(self, sequences: Sequence[str]) -> NDArray[np.float32]:
        """Pooled hidden states, (N, D), each sequence computed once.

        A sequence of more tokens than `limit` is read in pieces, of which every pooled token counts alike.

        Raises:
            InputError: the tokenizer does not know nucleotides, or has no first token where that is asked for.
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
            content = self.tokenizer(known_letters, add_special_tokens=False, verbose=False)["input_ids"]
        if unknown is not None and known_letters and content.count(unknown) > MOST_UNKNOWN * len(content):
            raise InputError(
                f"{self.name}: its tokenizer does not know {known_letters[:12]}…; give an encoder of nucleotides"
            )
        return [(ids, [int(extra or token == unknown) for token, extra in zip(ids, special, strict=True)])]

    @torch.inference_mode()
    def _sums(self, documents: list[tuple[list[int], list[int]]]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Sum of the hidden states of pooled tokens, (B, D), and how many they are."""
        longest = max(len(ids) for ids, _ in documents)
        ids_BT = torch.full((len(documents), longest), self.tokenizer.pad_token_id or 0)
        inside_BT, content_BT = torch.zeros_like(ids_BT), torch.zeros_like(ids_BT)
        for row, (ids, special) in enumerate(documents):
            ids_BT[row, : len(ids)] = torch.tensor(ids)
            inside_BT[row, : len(ids)] = 1
            content_BT[row, : len(ids)] = 1 - torch.tensor(special)
            if self.pooling == "cls":
                if not special[0]:
                    raise InputError(f"{self.name}: its tokenizer sets no token before a sequence; give pooling mean")
                content_BT[row] = 0
                content_BT[row, 0] = 1
        hidden_BTD = self.model(input_ids=ids_BT, attention_mask=inside_BT).last_hidden_state.float()
        return (hidden_BTD * content_BT[..., None]).sum(1).numpy(), content_BT.sum(1).numpy()


def _of_like_length(documents: list[tuple[str, Any]]) -> Iterator[list[tuple[str, Any]]]:
    """Batches of falling length, of at most `BATCH_TOKENS` with padding or one document."""
    left = sorted(documents, key=lambda document: -len(document[1][0]))
    while left:
        size = max(1, BATCH_TOKENS // len(left[0][1][0]))
        yield left[:size]
        left = left[size:]


def load(name: str, pooling: Pooling = "mean") -> HfEncoder:
    """An encoder from a local folder, without network, or by its hub id.

    Args:
        name: "hf:FOLDER" or "hf:OWNER/NAME".
        pooling: of its states.

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
    return HfEncoder(name, model.float().eval(), tokenizer, _limit(model.config, tokenizer), pooling)


def _limit(config: Any, tokenizer: Any) -> int:
    """Most tokens of a document."""
    positions = getattr(config, "max_position_embeddings", None) or _NO_LIMIT
    return int(min(tokenizer.model_max_length, positions - _RESERVED, _NO_LIMIT))


def contents(name: str) -> dict[str, str]:
    """What stands behind a name: sha256 of a folder's files; of a hub id the commit that was fetched last, if any."""
    place = name.removeprefix(PREFIX)
    if Path(place).is_dir():
        return {path.name: sha256_file(path) for path in sorted(Path(place).iterdir()) if path.is_file()}
    try:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError
    except ImportError:
        return {}  # nothing of it can be opened here
    try:
        found = try_to_load_from_cache(place, "config.json")
    except HFValidationError:
        return {}
    return {"commit": Path(found).parent.name} if isinstance(found, str) else {}


def probe(task: Task, encoder: HfEncoder, train: Rows, config: TrialConfig, capped: bool = False) -> ArmResult:
    """A frozen encoder with a linear model of its states, fitted and tuned as our own (`tasks.probe`).

    Args:
        task: rows and question.
        encoder: from `load`.
        train: training rows used.
        config: its `SETTINGS` count.
        capped: for the record.

    Raises:
        InputError: a "per-base" task.
    """
    if task.problem.kind == "per-base":
        raise InputError(f"{encoder.name}: a class of every base is not a question to pooled states; leave it out")

    def states(sequences: Sequence[str]) -> NDArray[np.float32]:
        if task.problem.stranded:
            return encoder(sequences)[None]
        return np.stack([encoder(sequences), encoder([*map(reverse_complement, sequences)])])

    def fit(problem: Problem, rows: Rows, validation: Rows) -> baselines.Fitted:
        objective = objective_of(config, problem, rows.labels)
        found = linear_probe.choose(objective, states(rows.sequences), rows, states(validation.sequences), validation)

        def predict(sequences: Sequence[str]) -> Predictions:
            return mean_of_strands(linear.predictions(objective, found.model(states(sequences))))

        chosen = {"penalty": found.penalty, "converged": found.converged, "pretraining data": "unknown"}
        return baselines.Fitted(predict, chosen)

    return baselines.score(task, encoder.name, fit, train, capped=capped)
