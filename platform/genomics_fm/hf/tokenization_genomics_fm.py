"""Tokenizer of overlapping k-mers and of codons, which no `tokenizer.json` can express. Needs transformers alone.

A sequence becomes CLS, the vocabulary's prompt, its words, SEP. Either case is read; every letter but A C G T is an N,
and what it touches is unknown.
"""

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizer

LETTERS = "ACGT"
VOCABULARY_FILE = "vocab.json"


class GenomicsFmTokenizer(PreTrainedTokenizer):
    """Words of k letters: at every base for `kmer`; side by side from base `frame` on for `codon`.

    Args:
        vocab_file: JSON, token → id; ids may have gaps, since several vocabularies share one table.
        kind: `kmer` or `codon`.
        k: letters of a word.
        frame: first base of the first codon.
        prompt: announces the vocabulary to the model.
    """

    vocab_files_names = {"vocab_file": VOCABULARY_FILE}  # noqa: RUF012
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012

    def __init__(
        self,
        vocab_file: str,
        kind: str = "kmer",
        k: int = 6,
        frame: int = 0,
        prompt: str = "[KMER]",
        **others: Any,
    ) -> None:
        if kind not in ("kmer", "codon"):
            raise ValueError(f"kind {kind!r}: unknown; kmer or codon")
        self.ids: dict[str, int] = json.loads(Path(vocab_file).read_text(encoding="utf-8"))
        self.token_of = {number: token for token, number in self.ids.items()}
        self.kind, self.k, self.frame, self.prompt = kind, k, frame, prompt
        special = {name: f"[{name.upper()}]" for name in ("unk", "cls", "sep", "pad", "mask")}
        tokens = {f"{name}_token": token for name, token in special.items()}
        saved = {"kind": kind, "k": k, "frame": frame, "prompt": prompt}
        super().__init__(**{**tokens, **others, **saved})

    @property
    def vocab_size(self) -> int:
        return len(self.ids)

    def get_vocab(self) -> dict[str, int]:
        return {**self.ids, **self.added_tokens_encoder}

    def _tokenize(self, text: str, **others: Any) -> list[str]:
        letters = "".join(letter if letter in LETTERS else "N" for letter in map(str.upper, text))
        if self.kind == "kmer":
            words = [letters[i : i + self.k] for i in range(len(letters) - self.k + 1)]
            return [self._known(word) for word in words]
        tokens = list(letters[: self.frame])
        for start in range(self.frame, len(letters), self.k):
            word = letters[start : start + self.k]
            tokens += [word] if len(word) == self.k and "N" not in word else list(word)
        return [self._known(token) for token in tokens]

    def _known(self, word: str) -> str:
        return word if word in self.ids else str(self.unk_token)

    def _convert_token_to_id(self, token: str) -> int:
        return self.ids.get(token, self.ids[str(self.unk_token)])

    def _convert_id_to_token(self, index: int) -> str:
        return self.token_of.get(index, str(self.unk_token))

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """Tokens of ids; [UNK], which stands for letters of the sequence, is never skipped."""
        if isinstance(ids, int) or not skip_special_tokens:
            return super().convert_ids_to_tokens(ids)
        skipped = {*self.all_special_ids, self.ids[self.prompt]} - {self.unk_token_id}
        return super().convert_ids_to_tokens([number for number in ids if int(number) not in skipped])

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """The sequence that tokens cover; N where no known one covers a base."""
        if self.kind == "codon":
            return "".join("N" if token == self.unk_token else token for token in tokens)
        letters = ["N"] * (len(tokens) + self.k - 1) if tokens else []
        for place, token in enumerate(tokens):
            if token != self.unk_token:
                letters[place : place + self.k] = token
        return "".join(letters)

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """CLS, prompt, tokens, SEP.

        Raises:
            ValueError: a second sequence; the model reads one.
        """
        if token_ids_1 is not None:
            raise ValueError("a pair of sequences: this model reads one at a time")
        return [self.cls_token_id, self.ids[self.prompt], *token_ids_0, self.sep_token_id]

    def get_special_tokens_mask(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """1 at CLS, prompt, SEP, padding and mask; 0 at words and unknown ones."""
        if not already_has_special_tokens:
            token_ids_0 = self.build_inputs_with_special_tokens(token_ids_0, token_ids_1)
        special = {*self.all_special_ids, self.ids[self.prompt]} - {self.unk_token_id}
        return [int(number in special) for number in token_ids_0]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        return [0] * len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str]:
        path = Path(save_directory) / f"{filename_prefix + '-' if filename_prefix else ''}{VOCABULARY_FILE}"
        path.write_text(json.dumps(self.ids, indent=1) + "\n", encoding="utf-8")
        return (str(path),)
