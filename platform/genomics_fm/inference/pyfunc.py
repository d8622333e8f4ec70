"""MLflow's `loader_module` of a registered head: the model is the head folder, and nothing is unpickled."""

from typing import Any

from genomics_fm.errors import InputError
from genomics_fm.inference.head import Head, load_head
from genomics_fm.inference.prediction import answer

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
            One object a sequence, as `prediction.answer` makes it.

        Raises:
            InputError: parameters, no such column, or a sequence R11 refuses.
        """
        if params:
            raise InputError(f"params {sorted(params)}: a head takes none; leave them out")
        if hasattr(data, "keys"):
            if COLUMN not in data:
                raise InputError(f"columns {sorted(map(str, data.keys()))}: give a column `{COLUMN}`")
            data = data[COLUMN]
        problem = self.head.card.problem
        return [answer(problem, found) for found in self.head.predict([str(s) for s in data])]


def _load_pyfunc(path: str) -> PyfuncHead:
    """MLflow calls this by name with the path of the artefact's data."""
    return PyfuncHead(load_head(path))
