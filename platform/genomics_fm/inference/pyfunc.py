"""MLflow's `loader_module` of a registered head: the model is the head folder, and nothing is unpickled."""

from typing import Any

from genomics_fm.errors import InputError
from genomics_fm.inference.head import Head, load_head

COLUMN = "sequence"


class PyfuncHead:
    """A head behind MLflow's `predict`."""

    def __init__(self, head: Head) -> None:
        self.head = head

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Score sequences.

        Args:
            data: sequences, or a table or mapping with a column `sequence`.
            params: none are known.

        Returns:
            One `{"label", "probability", "strand_gap", "warnings"}` a sequence.

        Raises:
            InputError: parameters, no such column, or a sequence R11 refuses.
        """
        if params:
            raise InputError(f"params {sorted(params)}: a head takes none; leave them out")
        if hasattr(data, "keys"):
            if COLUMN not in data:
                raise InputError(f"columns {sorted(map(str, data.keys()))}: give a column `{COLUMN}`")
            data = data[COLUMN]
        sequences = [str(s) for s in data]
        return [
            {
                "label": p.label,
                "probability": p.probability,
                "strand_gap": p.reverse_complement_gap,
                "warnings": list(p.warnings),
            }
            for p in self.head.predict(sequences)
        ]


def _load_pyfunc(path: str) -> PyfuncHead:
    """MLflow calls this by name with the path of the artefact's data."""
    return PyfuncHead(load_head(path))
