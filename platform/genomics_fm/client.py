"""A small client of the HTTP service (`python -m jobs.serve`), on the standard library alone."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genomics_fm.errors import EnvironmentFault, InputError

MAX_BODY_BYTES = 1_000_000
"""A little under the service's limit of 1 MiB."""
DEFAULT_TIMEOUT_S = 60.0
MAX_PROBLEM_BYTES = 4_096


@dataclass(frozen=True)
class Client:
    """Talks to one service.

    Attributes:
        url: root of the service, `http://127.0.0.1:8000`.
        timeout_s: for one request.
    """

    url: str
    timeout_s: float = DEFAULT_TIMEOUT_S

    def predict(
        self, sequences: Sequence[str], prior: float | Mapping[str, float] | None = None
    ) -> list[dict[str, Any]]:
        """Score sequences, in as many requests as the size limit asks for.

        Args:
            sequences: letters in either case.
            prior: how frequent the second of two classes, or classes or labels by name, are where the sequences come
                from; as in training otherwise.

        Returns:
            One object a sequence, in order, with `strand_gap` and `warnings`. Of a head of classes `label` and
            `probability`, of more than two `probabilities` by name too; of labels `labels` and `probabilities`; of
            numbers `values` by name; of bases `labels` and `probability`, one a base.

        Raises:
            InputError: the service refuses a sequence or the prior; the message is the service's.
            EnvironmentFault: it cannot be reached, is overloaded, or fails.
        """
        predictions: list[dict[str, Any]] = []
        more = {} if prior is None else {"prior": dict(prior) if isinstance(prior, Mapping) else prior}
        for part in _parts(sequences, MAX_BODY_BYTES - len(json.dumps(more))):
            predictions += self._call("/v1/predict", {"sequences": part} | more)["predictions"]
        return predictions

    def model(self) -> dict[str, Any]:
        """What is served: name, version, task, kind, labels, lengths, prevalence, metrics, data, hashes."""
        return self._call("/v1/model")

    def health(self) -> dict[str, Any]:
        """`{"status": "ok"}` once the model is loaded."""
        return self._call("/v1/health")

    def _call(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if not self.url.startswith(("http://", "https://")):
            raise InputError(f"{self.url}: not an http URL; give one like http://127.0.0.1:8000")
        where = self.url.rstrip("/") + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(where, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise _refusal(where, error) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise EnvironmentFault(f"{where}: no usable answer ({reason}); check that the service runs") from error


def _parts(sequences: Sequence[str], most_bytes: int) -> Iterator[list[str]]:
    """The sequences in lists that fit one request; a single empty list when there are none."""
    part: list[str] = []
    size = 0
    for sequence in sequences:
        length = len(json.dumps(sequence)) + 2
        if part and size + length > most_bytes:
            yield part
            part, size = [], 0
        part.append(sequence)
        size += length
    yield part


def _refusal(where: str, error: urllib.error.HTTPError) -> InputError | EnvironmentFault:
    """Our error for a problem+json answer."""
    try:
        problem = json.loads(error.read(MAX_PROBLEM_BYTES))
        detail = str(problem["detail"])
    except (ValueError, KeyError, TypeError, OSError):
        detail = error.reason
    message = f"{where}: {error.code}: {detail}"
    if error.code in (400, 413, 422):
        return InputError(f"{message}; mend the request")
    return EnvironmentFault(f"{message}; try again later, or look at the service's log")
