"""What rank 0 of a pretraining tells Prometheus after every step; imports Ray."""

from typing import Any

from ray.util.metrics import Gauge

from genomics_fm.training.metrics import VALIDATION

ALL = "all"


class Gauges:
    """The state of the run; Ray exports `genomics_fm_x` as `ray_genomics_fm_x`, all of them by `run`."""

    def __init__(self, run: str, checkpoint_steps: int) -> None:
        """For a run by its name, with a checkpoint every so many steps."""
        of, each, by = ("run",), ("run", "vocabulary"), ("run", "vocabulary", "source")
        self.loss = Gauge("genomics_fm_pretraining_loss", "Nats a predicted token.", each)
        self.step = Gauge("genomics_fm_pretraining_step", "Updates made.", of)
        self.step_seconds = Gauge("genomics_fm_pretraining_step_seconds", "Seconds of the last update.", of)
        self.rate = Gauge("genomics_fm_pretraining_tokens_per_second", "Tokens a second over all workers.", of)
        self.useful = Gauge("genomics_fm_pretraining_useful_slot_fraction", "Slots of the rows that hold a token.", of)
        self.waited = Gauge("genomics_fm_pretraining_data_wait_fraction", "Of a step, how long rank 0 had no rows.", of)
        self.norm = Gauge("genomics_fm_pretraining_gradient_norm", "Norm of the gradient before clipping.", of)
        self.checkpoint = Gauge("genomics_fm_checkpoint_unixtime", "When the newest checkpoint was whole.", of)
        self.interval = Gauge("genomics_fm_checkpoint_steps", "Updates between checkpoints.", of)
        self.held_out = {
            "loss": Gauge("genomics_fm_validation_loss", "Nats a masked token of held-out sequence.", by),
            "base_accuracy": Gauge("genomics_fm_validation_accuracy", "Hidden bases read rightly.", by),
            "bits_per_nucleotide": Gauge("genomics_fm_validation_bits", "Bits a nucleotide.", by),
        }
        self.markov = Gauge("genomics_fm_validation_markov_accuracy", "By order.", (*by, "order"))
        for gauge in (*(each for each in vars(self).values() if isinstance(each, Gauge)), *self.held_out.values()):
            gauge.set_default_tags({"run": run})
        self._checkpoint_steps = checkpoint_steps

    def set(self, line: dict[str, Any]) -> None:
        """Say what a line of the run's log says; a step without finite numbers has no loss and no norm."""
        self.step.set(line["step"])
        self.step_seconds.set(line["seconds"])
        self.waited.set(min(1.0, line["stall"] / line["seconds"]))
        self.checkpoint.set(line["checkpoint_unixtime"])
        self.interval.set(self._checkpoint_steps)
        for name, loss in line["loss"].items():
            self.loss.set(loss, tags={"vocabulary": name})
        if line["gradient_norm"] is not None:
            self.norm.set(line["gradient_norm"])
            self.rate.set(line["tokens"] / line["seconds"])
            self.useful.set(line["tokens"] / line["slots"])
        self._set_validation(line.get(VALIDATION, {}).get("vocabularies", {}))

    def _set_validation(self, scores: dict[str, Any]) -> None:
        """Scores by vocabulary and source; that of all sources together is `all`."""
        for name, figures in scores.items():
            for source, group in {**figures["by_source"], ALL: figures["all"]}.items():
                tags = {"vocabulary": name, "source": source}
                for what, gauge in self.held_out.items():
                    if group.get(what) is not None:
                        gauge.set(group[what], tags=tags)
                for order, model in group["markov"].items():
                    if model["base_accuracy"] is not None:
                        self.markov.set(model["base_accuracy"], tags={**tags, "order": order})
