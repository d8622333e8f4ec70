import numpy as np
import pytest

from genomics_fm.errors import InputError
from genomics_fm.inference.pyfunc import _load_pyfunc
from tests.heads import random_sequences, write_head

SEQUENCES = random_sequences(3)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return _load_pyfunc(str(write_head(tmp_path_factory.mktemp("head"))))


@pytest.mark.parametrize(
    "data", [SEQUENCES, {"sequence": SEQUENCES}, np.array(SEQUENCES)], ids=["list", "mapping", "array"]
)
def test_every_shape_of_input_gives_the_heads_predictions(model, data):
    expected = model.head.predict(SEQUENCES)
    rows = model.predict(data)
    assert [r["probability"] for r in rows] == pytest.approx([p.probability for p in expected], abs=1e-6)
    assert [r["label"] for r in rows] == [p.label for p in expected]
    assert set(rows[0]) == {"label", "probability", "strand_gap", "warnings"}


def test_a_table_without_the_column_and_parameters_are_refused(model):
    with pytest.raises(InputError, match="`sequence`"):
        model.predict({"seq": SEQUENCES})
    with pytest.raises(InputError, match="prior"):
        model.predict(SEQUENCES, params={"prior": 0.1})
