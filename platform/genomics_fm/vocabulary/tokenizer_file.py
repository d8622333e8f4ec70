"""A vocabulary as a file of the `tokenizers` library, for those who do not have this package (R19)."""

from collections.abc import Mapping

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from genomics_fm.errors import InputError
from genomics_fm.vocabulary.blocks import BlockVocabulary
from genomics_fm.vocabulary.bpe import BpeVocabulary
from genomics_fm.vocabulary.kmer import KmerVocabulary
from genomics_fm.vocabulary.letters import LETTERS
from genomics_fm.vocabulary.member import Member
from genomics_fm.vocabulary.special import CLS_ID, SEP_ID, SPECIAL_TOKENS, UNK_ID

UNK, CLS, SEP = (SPECIAL_TOKENS[number] for number in (UNK_ID, CLS_ID, SEP_ID))
_N = "N"


def tokenizer_json(member: Member, ids: Mapping[str, int], prompt: str) -> str:
    """The file's text: it reads a sequence as `Ensemble.document` does, ids included.

    Args:
        member: the vocabulary.
        ids: of its pieces, of the special tokens and of the prompt.
        prompt: its prompt token.

    Raises:
        InputError: overlapping k-mers and codons, which such a file cannot express.
    """
    tokenizer = Tokenizer(_model(member, dict(ids)))
    capitals = [normalizers.Replace(letter.lower(), letter) for letter in LETTERS]
    tokenizer.normalizer = normalizers.Sequence([*capitals, normalizers.Replace(Regex(f"[^{LETTERS}]"), _N)])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(_cuts(member))
    around = [(token, ids[token]) for token in (CLS, prompt, SEP)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{CLS} {prompt} $A {SEP}", special_tokens=around)
    # UNK is not among the tokens that decoding skips: it stands for an N.
    tokenizer.decoder = decoders.Sequence([decoders.Replace(UNK, _N), decoders.Fuse()])
    skipped = [token for token in (*SPECIAL_TOKENS, prompt) if token != UNK]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in skipped])
    return tokenizer.to_str(pretty=True)


def _model(member: Member, ids: dict[str, int]) -> models.Model:
    match member:
        case BpeVocabulary():
            return models.BPE(ids, member.merges, unk_token=UNK, fuse_unk=False)
        case BlockVocabulary() | KmerVocabulary(k=1):
            return models.WordLevel(ids, unk_token=UNK)
        case _:
            raise InputError(
                f"vocabulary of kind {member.kind!r}: a tokenizer.json cannot express it; "
                "use one of BPE, blocks or single nucleotides, or read it with this package"
            )


def _cuts(member: Member) -> list[pre_tokenizers.PreTokenizer]:
    """None for BPE; else the grid of words, and single letters where a word is short or holds an N."""
    if isinstance(member, BpeVocabulary):
        return []
    k = member.k if isinstance(member, BlockVocabulary) else 1
    patterns = (rf"[{LETTERS}{_N}]{{{k}}}", rf"[{LETTERS}]{{{k}}}|[{LETTERS}{_N}]")
    return [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
