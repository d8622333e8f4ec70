"""How a worker in training is asked, from inside its own process, to make room for a group of another size."""

import threading

_asked, _ended = threading.Event(), threading.Event()


def asked() -> bool:
    """Whether this worker is to write a checkpoint and stop; what `pretrain(asked_to_stop=…)` wants to know."""
    return _asked.is_set()


def ended() -> None:
    """Say that this worker's training has ended, however it did."""
    _ended.set()


def stop_with_checkpoint(seconds: float) -> bool:
    """Beside the training: ask it to stop and wait; whether it has. Ray Train calls it in every worker."""
    _asked.set()
    return _ended.wait(seconds)
