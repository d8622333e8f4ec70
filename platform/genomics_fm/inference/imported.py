"""A published checkpoint as an encoder folder of ours."""

from pathlib import Path

from genomics_fm.errors import InputError
from genomics_fm.model.heads import MaskedLanguageModel
from genomics_fm.model.published import about_published, load_published
from genomics_fm.model.weights import save_encoder
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble


def import_checkpoint(
    weights: Path, config: Path, output: Path, position: str = "alibi", vocabulary: Path | None = None
) -> MaskedLanguageModel:
    """Write an encoder folder from a published checkpoint.

    Args:
        weights: as `load_published` reads them.
        config: the published `config.json`.
        output: folder to write; nothing may be in it.
        position: `alibi` or `ape`.
        vocabulary: `vocabulary.json` with the ids the weights were trained with; None to write none.

    Raises:
        InputError: as `load_published`; something is in `output`; or a vocabulary of another size.
        CorruptArtefact: as `load_published`; or a damaged vocabulary.
    """
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise InputError(f"{output}: there already; choose a folder that does not exist or is empty")
    ensemble = None if vocabulary is None else Ensemble.load(vocabulary)
    model = load_published(weights, config, position)
    size = model.bert.config.vocabulary_size
    about = about_published(weights, config)
    if ensemble is not None:
        if ensemble.size != size:
            raise InputError(f"{vocabulary}: {ensemble.size} tokens, but {weights} has {size}; give the one it is for")
        ensemble.save(output / FILE_NAME)
        about |= {"vocabulary_sha256": ensemble.sha256}
    save_encoder(output, model, about)
    return model
