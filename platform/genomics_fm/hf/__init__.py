"""transformers classes of this package: importing it makes `AutoModel` and the like open our exported folders."""

from importlib.util import find_spec

from genomics_fm.errors import InputError

if find_spec("transformers") is None:
    raise InputError("genomics_fm.hf: transformers is not installed; pip install 'genomics-fm[hf]'")

from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

from genomics_fm.hf.configuration_genomics_fm import GenomicsFmConfig
from genomics_fm.hf.packed import GenomicsFmForMaskedLM, GenomicsFmForSequenceClassification, GenomicsFmModel
from genomics_fm.hf.tokenization_genomics_fm import GenomicsFmTokenizer

__all__ = [
    "GenomicsFmConfig",
    "GenomicsFmForMaskedLM",
    "GenomicsFmForSequenceClassification",
    "GenomicsFmModel",
    "GenomicsFmTokenizer",
]

AutoConfig.register(GenomicsFmConfig.model_type, GenomicsFmConfig, exist_ok=True)
AutoModel.register(GenomicsFmConfig, GenomicsFmModel, exist_ok=True)
AutoModelForMaskedLM.register(GenomicsFmConfig, GenomicsFmForMaskedLM, exist_ok=True)
AutoModelForSequenceClassification.register(GenomicsFmConfig, GenomicsFmForSequenceClassification, exist_ok=True)
AutoTokenizer.register(GenomicsFmConfig, tokenizer_class=GenomicsFmTokenizer, exist_ok=True)
