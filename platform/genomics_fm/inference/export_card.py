"""The model card of an exported folder."""

import json
from typing import Any

from genomics_fm.vocabulary.ensemble import Ensemble

_SIZES = {
    "num_hidden_layers": "layers",
    "hidden_size": "width",
    "num_attention_heads": "attention heads",
    "intermediate_size": "FFN width",
    "vocab_size": "tokens of all vocabularies",
    "position": "positions",
}
_LIMITS = (
    "**Research use only: not for clinical decisions.** A prediction is a score of a model trained on the data named "
    "below, and says nothing about other species, assays or lengths."
)
_UNSTRANDED = (
    "The strand carries no meaning for this task: our own tools score a sequence and its reverse complement and "
    "average the two probabilities; do the same."
)


def export_card(config: dict[str, Any], origin: dict[str, Any], ensemble: Ensemble | None, parameters: int) -> str:
    """README.md of an exported folder, in Markdown.

    Args:
        config: `config.json` without its origin.
        origin: where weights and vocabularies come from.
        ensemble: the vocabularies, where there are any.
        parameters: how many, tied ones once.
    """
    classifier = "id2label" in config
    task = str(origin.get("task") or "")
    lines = [
        "---",
        f"license: {origin.get('license', 'other')}",
        "library_name: transformers",
        f"pipeline_tag: {'text-classification' if classifier else 'fill-mask'}",
        "tags: [dna, genomics]",
        "---",
        f"# {task or 'A DNA encoder'}",
        "",
        _LIMITS,
        "",
        *_labels(config, origin, classifier),
        "| | |",
        "| --- | --- |",
        f"| parameters | {parameters:,} |",
        *(f"| {said} | {config[name]} |" for name, said in _SIZES.items()),
        "",
        *_usage(classifier, ensemble, origin),
        "## Made from",
        "Terms of use are those of the data and weights named here; a licence is stated above only where the folder "
        "this was exported from stated one.",
        "",
        "```json",
        json.dumps(origin, indent=1, sort_keys=True),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _labels(config: dict[str, Any], origin: dict[str, Any], classifier: bool) -> list[str]:
    if not classifier:
        return ["Masked language model of DNA; a vocabulary's prompt token says how a sequence was cut.", ""]
    labels = ", ".join(f"{number} = `{label}`" for number, label in config["id2label"].items())
    strand = [] if origin.get("problem", origin).get("stranded", True) else [_UNSTRANDED, ""]
    return [f"A sequence classifier: {labels}; pooling `{config['pooling']}`.", "", *strand]


def _usage(classifier: bool, ensemble: Ensemble | None, origin: dict[str, Any]) -> list[str]:
    model = "AutoModelForSequenceClassification" if classifier else "AutoModelForMaskedLM"
    lines = [
        "## Load",
        "Without the package `genomics-fm`, add `trust_remote_code=True` to each call: the code lies beside the "
        "weights. With it, `import genomics_fm.hf` first; nothing is then computed for padding.",
        "",
        "```python",
        f"from transformers import AutoTokenizer, {model}",
        "",
        f'model = {model}.from_pretrained("FOLDER").eval()',
    ]
    if ensemble is None:
        return [*lines, "```", "", "The vocabulary is not part of this folder.", ""]
    return [
        *lines,
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
        'rows = tokenizer(["ACGTACGTAA", "TTGACA"], padding=True, return_tensors="pt")',
        "logits = model(**rows).logits",
        "```",
        "",
        f"The folder's own tokenizer is that of `{origin['vocabulary']}`; each vocabulary's is in `tokenizers/NAME`:",
        "",
        "| vocabulary | kind | pieces | prompt |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {member.kind} | {len(member.pieces):,} | `{ensemble.prompt(name)}` |"
            for name, member in ensemble.members.items()
        ),
        "",
    ]
