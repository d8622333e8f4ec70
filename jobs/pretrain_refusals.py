"""A worker's error that another start would meet again ends a training at once; imports Ray."""

from typing import Any

from ray.train import UserCallback

from genomics_fm.errors import CorruptArtefact, InputError
from jobs import launch


class GiveUp(UserCallback):
    """Ends the run instead of restarting its workers when one of them refused its input.

    Ray Train starts workers again after any exception; what it is given here leaves its controller, and so `fit`.
    """

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Raise the first of the workers' errors that nothing but the user can mend.

        Raises:
            InputError: the input or a config is wrong, or the guard ended the run.
            CorruptArtefact: a block or checkpoint is damaged.
        """
        for rank in sorted(worker_exceptions):
            error = launch.find_our_error(worker_exceptions[rank])
            if isinstance(error, InputError | CorruptArtefact):
                raise error
