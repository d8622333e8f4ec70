from pathlib import Path
from typing import Any

from jobs.tracking import Run


class Client:
    """What a run tells MLflow, kept."""

    def __init__(self) -> None:
        self.params: dict[str, str] = {}
        self.files: dict[str, Any] = {}

    def log_batch(self, _run: str, params: list[Any]) -> None:
        self.params = {param.key: param.value for param in params}

    def log_dict(self, _run: str, value: Any, name: str) -> None:
        self.files[name] = value

    def set_terminated(self, _run: str, _status: str) -> None: ...


def test_names_that_mlflow_refuses_are_written_otherwise(tmp_path: Path) -> None:
    client = Client()
    run = Run(client, "1", tmp_path)
    config = {"metrics": {"6-mer, same cap": 0.5, "a/b c:d.e_f": 1}}
    run.config(config)
    run.close("FINISHED")
    assert client.params == {"metrics.6-mer_ same cap": "0.5", "metrics.a/b c:d.e_f": "1"}
    assert client.files["config.json"] == config
    assert not run.lost
