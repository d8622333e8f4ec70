"""An encoder or a head as a folder that transformers opens, with or without this package.

config.json                 sizes and labels, where it comes from, and which class of the code opens it; written last
model.safetensors           weights under the published names
*_genomics_fm.py            the code, which needs torch and transformers alone (`trust_remote_code=True`)
tokenizer_config.json …     the tokenizer of one vocabulary; every vocabulary's is in tokenizers/NAME
vocabulary.json             the vocabularies as this package reads them
README.md                   the model card
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save

import genomics_fm
from genomics_fm.artefacts import json_bytes, sha256_bytes, write_bytes, write_json
from genomics_fm.errors import InputError
from genomics_fm.inference.export_card import export_card
from genomics_fm.inference.sources import CONFIG, MODEL_TYPE, Loaded, load_any
from genomics_fm.model.heads import MaskedLanguageModel, SequenceClassifier, TokenClassifier
from genomics_fm.model.published import NAMES
from genomics_fm.model.weights import TIED, WEIGHTS, parameter_count
from genomics_fm.tasks.problem import Kind
from genomics_fm.vocabulary.blocks import BlockVocabulary, CodonVocabulary
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble
from genomics_fm.vocabulary.kmer import KmerVocabulary
from genomics_fm.vocabulary.special import CLS_ID, MASK_ID, PAD_ID, SEP_ID, SPECIAL_TOKENS, UNK_ID

MODEL_CODE = ("configuration_genomics_fm.py", "blocks_genomics_fm.py", "modeling_genomics_fm.py")
TOKENIZER_CODE = "tokenization_genomics_fm.py"
TOKENIZER_CLASS = "GenomicsFmTokenizer"
TOKENIZERS = "tokenizers"
FAST_CLASS = "PreTrainedTokenizerFast"
UNLIMITED = 10**30
"""What transformers writes for a tokenizer whose model has no longest input."""
PROBLEM_TYPES: dict[Kind, str] = {
    "classification": "single_label_classification",
    "multilabel": "multi_label_classification",
    "regression": "regression",
}
"""Ours by what transformers calls them."""
AUTO_MAP = {
    "AutoConfig": "configuration_genomics_fm.GenomicsFmConfig",
    "AutoModel": "modeling_genomics_fm.GenomicsFmModel",
    "AutoModelForMaskedLM": "modeling_genomics_fm.GenomicsFmForMaskedLM",
    "AutoModelForSequenceClassification": "modeling_genomics_fm.GenomicsFmForSequenceClassification",
}


@dataclass(frozen=True)
class Exported:
    """What was written: its folder, parameters, the vocabulary at its top (None without vocabularies)."""

    folder: Path
    parameters: int
    vocabulary: str | None


def export(source: Path, output: Path, vocabulary: str = "") -> Exported:
    """Write a folder that transformers opens.

    Args:
        source: an encoder or a head folder.
        output: folder to write; nothing may be in it.
        vocabulary: whose tokenizer stands at the top; without it the head's own, or the first.

    Raises:
        InputError: no model in `source`, a probe or a head of bases, an unknown vocabulary, or something is in
            `output`.
        CorruptArtefact: a file of `source` is damaged.
    """
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise InputError(f"{output}: there already; choose a folder that does not exist or is empty")
    model, ensemble, about = load_any(source)
    if isinstance(model, TokenClassifier) or (isinstance(model, SequenceClassifier) and not model.dense):
        raise InputError(f"{source}: a probe or a head of bases has no class in the export; export its encoder")
    name = _chosen(ensemble, vocabulary or about.get("vocabulary", ""), source)
    tensors = {key: value.contiguous() for key, value in sorted(model.state_dict().items()) if key != TIED}
    weights = save(tensors, metadata={"format": "pt"})  # transformers before version 5 insists on the format
    config = _config(model, about)
    origin = _origin(ensemble, name, about) | {"exported_weights_sha256": sha256_bytes(weights)}
    write_bytes(output / WEIGHTS, weights)
    write_code(output)
    if ensemble is not None:
        ensemble.save(output / FILE_NAME)
        longest = model.bert.config.max_positions if model.bert.config.position == "ape" else UNLIMITED
        for each in ensemble.names:
            write_tokenizer(output / TOKENIZERS / each, ensemble, each, longest)
        write_tokenizer(output, ensemble, name or ensemble.names[0], longest)
    parameters = parameter_count(model)
    write_bytes(output / "README.md", export_card(config, origin, ensemble, parameters).encode())
    write_json(output / CONFIG, config | {MODEL_TYPE: origin})
    return Exported(output, parameters, name)


def write_code(folder: Path) -> None:
    """Copy the files that open an exported folder without this package."""
    for name in (*MODEL_CODE, TOKENIZER_CODE):
        write_bytes(folder / name, _code(name))


def _code(name: str) -> bytes:
    # Not importlib.resources: it would import genomics_fm.hf, and with it transformers.
    return (Path(genomics_fm.__file__).parent / "hf" / name).read_bytes()


def _chosen(ensemble: Ensemble | None, vocabulary: str, source: Path) -> str | None:
    if ensemble is None:
        if vocabulary:
            raise InputError(f"{source}: has no {FILE_NAME}, so no vocabulary {vocabulary!r}; leave it out")
        return None
    name = vocabulary or ensemble.names[0]
    ensemble.member(name)
    return name


def _config(model: Loaded, about: dict[str, Any]) -> dict[str, Any]:
    """`config.json` for transformers, but for where the model comes from."""
    encoder = model.bert.config
    sizes = {theirs: getattr(encoder, ours) for theirs, ours in NAMES.items()}
    shared = {
        "model_type": MODEL_TYPE,
        "auto_map": AUTO_MAP,
        "position": encoder.position,
        "pad_token_id": PAD_ID,
        "dtype": "float32",
        "tie_word_embeddings": True,
        **sizes,
    }
    if isinstance(model, MaskedLanguageModel):
        return {**shared, "architectures": ["GenomicsFmForMaskedLM"]}
    problem = about.get("problem") or {}
    unnamed = [f"LABEL_{number}" for number in range(model.classifier.out_features)]
    labels = problem.get("names") or about.get("labels") or unnamed
    return {
        **shared,
        "architectures": ["GenomicsFmForSequenceClassification"],
        "pooling": model.pooling,
        "problem_type": PROBLEM_TYPES[problem.get("kind", "classification")],
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }


def _origin(ensemble: Ensemble | None, name: str | None, about: dict[str, Any]) -> dict[str, Any]:
    """Where a model comes from, for `config.json` and the card; of a head's card all but the encoder's sizes."""
    kept = {key: value for key, value in about.items() if key not in ("encoder", "format_version")}
    if ensemble is None:
        return kept
    vocabularies = {each: ensemble.member(each).kind for each in ensemble.names}
    return kept | {"vocabulary": name, "vocabularies": vocabularies, "vocabulary_sha256": ensemble.sha256}


def write_tokenizer(folder: Path, ensemble: Ensemble, name: str, longest: int) -> None:
    """Write what `AutoTokenizer` needs for one vocabulary; its ids are those of `Ensemble.document`.

    Args:
        folder: receives the files.
        ensemble: the vocabularies.
        name: of the one to write.
        longest: most tokens a row may have.
    """
    special = {"unk": UNK_ID, "cls": CLS_ID, "sep": SEP_ID, "pad": PAD_ID, "mask": MASK_ID}
    config: dict[str, Any] = {
        **{f"{short}_token": SPECIAL_TOKENS[number] for short, number in special.items()},
        "model_max_length": longest,
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    match member := ensemble.member(name):
        case BpeVocabulary() | BlockVocabulary() | KmerVocabulary(k=1):
            write_bytes(folder / "tokenizer.json", ensemble.tokenizer_json(name).encode())
            config |= {"tokenizer_class": FAST_CLASS}
        case KmerVocabulary() | CodonVocabulary():
            write_bytes(folder / "vocab.json", json_bytes(ensemble.id_of))
            write_bytes(folder / TOKENIZER_CODE, _code(TOKENIZER_CODE))
            module = TOKENIZER_CODE.removesuffix(".py")
            config |= dataclasses.asdict(member) | {
                "kind": member.kind,
                "k": member.k,
                "prompt": ensemble.prompt(name),
                "tokenizer_class": TOKENIZER_CLASS,
                "auto_map": {"AutoTokenizer": [f"{module}.{TOKENIZER_CLASS}", None]},
            }
        case _:
            raise InputError(f"vocabulary {name}: kind {member.kind!r} has no tokenizer; upgrade genomics-fm")
    write_json(folder / "tokenizer_config.json", config)
