"""The classes transformers gets with this package: those of `modeling_genomics_fm`, with nothing computed for padding.

Numbers and names of parameters are the same. Rows go through the encoder packed, in the layout that is fastest where
the model is.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from genomics_fm.hf import modeling_genomics_fm as plain
from genomics_fm.hf.blocks_genomics_fm import alibi_slopes, positions_of
from genomics_fm.inference.export import AUTO_MAP, write_code
from genomics_fm.model.attention import layout_of
from genomics_fm.model.published import stands_together


class _SavedWithCode:
    """A saved model keeps the files that open it without this package."""

    def save_pretrained(self, save_directory: Any, *positional: Any, **named: Any) -> Any:
        self.config.auto_map = AUTO_MAP  # type: ignore[attr-defined]
        result = super().save_pretrained(save_directory, *positional, **named)  # type: ignore[misc]
        write_code(Path(save_directory))
        return result


class GenomicsFmModel(_SavedWithCode, plain.GenomicsFmModel):
    def states(self, ids_BT: Tensor, keep_BT: Tensor, types_BT: Tensor | None, every: bool) -> list[Tensor]:
        """As the plain model's; rows with padding between their tokens are left to it."""
        lengths = [length for length in keep_BT.sum(1).tolist() if length]
        if not lengths or not stands_together(keep_BT):
            return super().states(ids_BT, keep_BT, types_BT, every)
        alibi, device = self.config.position == "alibi", ids_BT.device
        slopes_H = alibi_slopes(self.config.num_attention_heads).to(device) if alibi else None
        layout = layout_of(lengths, slopes_H, device, self.attention_dtype(device))
        types_P = None if types_BT is None else layout.enter(types_BT[keep_BT])
        hidden_PD = self.embeddings(
            layout.enter(ids_BT[keep_BT]), layout.enter(positions_of(keep_BT)[keep_BT]), types_P
        )
        states = [layout.leave(state_PD) for state_PD in self.encoder(hidden_PD, layout.attend, every)]
        shape = (*keep_BT.shape, hidden_PD.shape[-1])
        return [state_ND.new_zeros(shape).index_put((keep_BT,), state_ND) for state_ND in states]


class GenomicsFmForMaskedLM(_SavedWithCode, plain.GenomicsFmForMaskedLM):
    backbone = GenomicsFmModel

    def predictions(self, hidden_BTD: Tensor, keep_BT: Tensor) -> Tensor:
        logits_NV = self.cls.predictions(hidden_BTD[keep_BT])
        shape = (*keep_BT.shape, logits_NV.shape[-1])
        return logits_NV.new_zeros(shape).index_put((keep_BT,), logits_NV)


class GenomicsFmForSequenceClassification(_SavedWithCode, plain.GenomicsFmForSequenceClassification):
    backbone = GenomicsFmModel
