"""Vocabulary × label fraction × start on Ray Tune, with baselines: `python -m jobs.sweep --encoder DIR --task DIR`."""

import dataclasses
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from genomics_fm.artefacts import sha256_file, sha256_json
from genomics_fm.errors import EnvironmentFault, InputError
from genomics_fm.inference.predicted import read_predicted
from genomics_fm.model.weights import WEIGHTS
from genomics_fm.tasks import cnn, coding_baselines, comparison, results
from genomics_fm.tasks.fractions import ORDER_VERSION, nested_subset
from genomics_fm.tasks.rows import Rows
from genomics_fm.tasks.task import Task, load
from genomics_fm.tasks.trial_config import Start, TrialConfig
from genomics_fm.vocabulary.ensemble import FILE_NAME, Ensemble
from jobs import arms, launch, tracking
from jobs.arms import ArmConfig
from jobs.progress import Clock, say

SEARCH_RANGE = {"encoder": (3e-4, 5e-3), "cnn": (3e-3, 3e-2)}
NO_INFLUENCE = ("encoder", "task", "output", "tracking", "concurrent")
"""Settings that do not change the sweep's numbers (encoder and task count by what they hold)."""
BASELINE_COLUMNS = ("name", "fraction", "capped", "labels_seen", "validation_mcc", "test_mcc", "interval", "seconds")


@dataclass(frozen=True)
class SweepConfig:
    """The grid, and what is the same in all of it."""

    encoder: str = field(default="", metadata={"help": "folder of a pretrained encoder"})
    task: str = field(default="", metadata={"help": "folder of a task's rows"})
    output: str = field(default="", metadata={"help": "folder of the sweep; default: storage/sweeps/<hash>"})
    vocabularies: tuple[str, ...] = field(default=("bpe", "kmer"), metadata={"help": "of the encoder's ensemble"})
    fractions: tuple[float, ...] = field(default=(0.1, 1.0), metadata={"help": "of the capped training rows"})
    starts: tuple[Start, ...] = field(default=("pretrained", "scratch"), metadata={"help": "pretrained, scratch"})
    seeds: int = field(default=1, metadata={"help": "seeds 0 … n−1 for every arm"})
    concurrent: int = field(default=2, metadata={"help": "arms at a time, one CPU each"})
    search_trials: int = field(default=4, metadata={"help": "learning rates tried for encoder and CNN each"})
    search_updates: int = field(default=16, metadata={"help": "updates of each short encoder trial"})
    search_rows: int = field(default=400, metadata={"help": "validation rows that score a short trial"})
    cnn_updates: int = field(default=cnn.UPDATES, metadata={"help": "updates of the CNN baseline"})
    tracking: str | None = field(default=None, metadata={"help": "MLflow tracking URI"})
    trial: TrialConfig = field(default_factory=TrialConfig)

    def __post_init__(self) -> None:
        for name in ("concurrent", "search_trials", "search_updates", "cnn_updates", "seeds"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name.replace('_', '-')} {getattr(self, name)}: give at least 1")
        if self.search_rows < 2:
            raise InputError(f"--search-rows {self.search_rows}: give at least 2")


def planned_arms(config: SweepConfig, learning_rate: float) -> list[ArmConfig]:
    """Every arm of the grid, dearest first so that none straggles at the end."""
    optimizer = dataclasses.replace(config.trial.optimizer, learning_rate=learning_rate)
    order = sorted(config.vocabularies, key=lambda name: name != "kmer")
    return [
        ArmConfig(
            encoder=config.encoder,
            task=config.task,
            trial=dataclasses.replace(
                config.trial, vocabulary=name, start=start, fraction=fraction, seed=seed, optimizer=optimizer
            ),
        )
        for seed, name, fraction, start in itertools.product(
            range(config.seeds), order, sorted(config.fractions, reverse=True), config.starts
        )
    ]


def identity(config: SweepConfig, task: Task) -> str:
    """Short hash of everything that decides the sweep's numbers."""
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in NO_INFLUENCE}
    return sha256_json([settings, ORDER_VERSION, sha256_file(Path(config.encoder) / WEIGHTS), task.hashes])[:10]


def arm_folder(root: Path, trial: TrialConfig) -> Path:
    return root / f"{trial.vocabulary}-{trial.start}-{trial.fraction:g}-seed{trial.seed}"


def _cross_entropy(labels: np.ndarray, probability: np.ndarray) -> float:
    clipped = np.clip(probability, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(labels == 1, np.log(clipped), np.log1p(-clipped))))


def _few(rows: Rows, count: int) -> Rows:
    return rows.take(nested_subset(rows, 1.0, 0, count))


def _search(what: str, settings: dict[str, Any]) -> tuple[float, list[tuple[float, float]]]:
    """Runs on a worker: Optuna over one learning rate, scored by cross entropy on validation rows.

    The encoder's is the mean over both starts, so that neither is favoured; only the first vocabulary is tried.

    Returns:
        The best rate, and every (rate, score) tried.
    """
    import optuna

    from jobs.config import validate

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    config = validate(SweepConfig, settings)
    task = load(Path(config.task))
    validation = _few(task.validation, config.search_rows)
    train = _few(task.train, config.trial.cap)

    def objective(attempt: Any) -> float:
        rate = attempt.suggest_float("learning_rate", *SEARCH_RANGE[what], log=True)
        score = _encoder_score if what == "encoder" else _cnn_score
        return score(config, task, train, validation, rate)

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=config.trial.seed))
    study.optimize(objective, n_trials=config.search_trials)
    tried = [(float(t.params["learning_rate"]), float(t.value)) for t in study.trials]
    return float(study.best_params["learning_rate"]), tried


def _encoder_score(config: SweepConfig, task: Task, train: Rows, validation: Rows, rate: float) -> float:
    from genomics_fm.tasks.learning import train as train_head
    from genomics_fm.tasks.objective import objective_of
    from genomics_fm.tasks.scoring import strand_probabilities
    from genomics_fm.tasks.trial import new_head

    vocabulary = Ensemble.load(Path(config.encoder) / FILE_NAME)
    optimizer = dataclasses.replace(config.trial.optimizer, learning_rate=rate)
    scores = []
    for start in config.starts:
        trial = dataclasses.replace(
            config.trial,
            vocabulary=config.vocabularies[0],
            start=start,
            updates=config.search_updates,
            optimizer=optimizer,
        )
        head = new_head(trial, Path(config.encoder), vocabulary, task.problem)
        train_head(trial, head, vocabulary, objective_of(trial, task.problem, train.labels), train)
        strands = strand_probabilities(head, vocabulary, trial.vocabulary, validation.sequences, both_strands=True)
        scores.append(_cross_entropy(validation.labels, strands.mean(axis=0)))
    return float(np.mean(scores))


def _cnn_score(config: SweepConfig, task: Task, train: Rows, validation: Rows, rate: float) -> float:
    predict = cnn.train(train, validation, rate, max(config.cnn_updates // 4, 1), config.trial.seed)
    return _cross_entropy(validation.labels, predict(validation.sequences))


def _baselines(settings: dict[str, Any], learning_rate: float) -> list[results.ArmResult]:
    """Runs on a worker: every baseline, capped and not."""
    from jobs.config import validate

    config = validate(SweepConfig, settings)
    task = load(Path(config.task))
    return coding_baselines.run_all(
        task.train,
        task.validation,
        task.test,
        config.fractions,
        config.trial.cap,
        config.trial.seed,
        learning_rate,
        config.cnn_updates,
    )


def _tune_trial(parameters: dict[str, Any]) -> None:
    """One Tune trial: one arm."""
    from ray import tune

    from jobs.config import validate

    config = validate(ArmConfig, parameters["arm"])
    arm = arms.run(config, arm_folder(Path(parameters["root"]), config.trial))
    tune.report({"validation_mcc": arm["validation_mcc"], "node": launch.node_id()})


def _run_arms(root: Path, planned: list[ArmConfig], concurrent: int) -> tuple[list[dict[str, Any]], list[str]]:
    """All arms on Ray Tune, and the nodes they ran on; those that are there already are read."""
    from ray import tune

    clock = Clock()

    class Say(tune.Callback):
        done = 0

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            self.done += 1
            arm = TrialConfig(**{k: v for k, v in trial.config["arm"]["trial"].items() if k != "optimizer"})
            score = trial.last_result.get("validation_mcc", float("nan"))
            say(
                f"[sweep] {self.done}/{len(planned)} {arm.name} {arm.fraction:g}: validation MCC {score:.3f}, "
                f"{clock.seconds / self.done:.0f} s an arm"
            )

    space = {"arm": tune.grid_search([dataclasses.asdict(arm) for arm in planned]), "root": str(root)}
    grid = tune.Tuner(
        tune.with_resources(_tune_trial, {"cpu": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(max_concurrent_trials=concurrent, reuse_actors=True),
        run_config=tune.RunConfig(
            name="tune", storage_path=str(root / "ray"), callbacks=[Say()], verbose=0,
            failure_config=tune.FailureConfig(max_failures=1),
        ),
    ).fit()  # fmt: skip
    if grid.num_errors:
        error = next(result.error for result in grid if result.error)
        reason = str(error).strip().splitlines()[-1]
        failed = EnvironmentFault(
            f"{grid.num_errors} of {len(planned)} arms failed: {reason}; run the same command again"
        )
        raise launch.find_our_error(error) or failed
    nodes = sorted({result.metrics["node"] for result in grid})
    return [arms.run(arm, arm_folder(root, arm.trial)) for arm in planned], nodes


def compare(task: Task, found: list[dict[str, Any]], reference: list[results.ArmResult]) -> list[dict[str, Any]]:
    """Paired differences of test MCC: pretrained against scratch, k-mer against BPE, the best arm against baselines.

    Arms of the first seed; the best arm is chosen on validation. `p_adjusted` is Holm's over all of them.
    """
    first = [arm for arm in found if arm["seed"] == 0]
    guesses = {_label(arm): read_predicted(Path(arm["head"]) / arms.TEST, task.problem).predictions for arm in first}
    pairs = []
    for arm in first:
        if arm["start"] == "pretrained":
            pairs.append((_label(arm), _label({**arm, "start": "scratch"})))
            if arm["vocabulary"] != "bpe":
                pairs.append((_label(arm), _label({**arm, "vocabulary": "bpe"})))
    best = max(first, key=lambda arm: arm["validation_mcc"])
    any_capped = any(baseline.capped for baseline in reference)
    for baseline in reference:
        if baseline.capped == any_capped and baseline.fraction == best["fraction"]:
            name = f"{baseline.name}, {baseline.fraction:.0%} (same cap)"
            guesses[name] = baseline.test_predictions
            pairs.append((_label(best), name))
    return _differences(task, guesses, [(a, b) for a, b in pairs if a in guesses and b in guesses])


def _differences(task: Task, guesses: dict[str, np.ndarray], pairs: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Of each pair by name, a minus b; one family for Holm."""
    test, found = task.test, {}
    for a in dict.fromkeys(a for a, _ in pairs):
        rivals = {b: guesses[b] for first, b in pairs if first == a}
        found[a] = comparison.compare(task.problem, test.labels, guesses[a], rivals, test.block)
    listed = [found[a][b] for a, b in pairs]
    together = zip(pairs, listed, comparison.holm([one.p for one in listed]), strict=True)
    return [{"a": a, "b": b, **dataclasses.replace(one, p_adjusted=p).to_json()} for (a, b), one, p in together]


def _label(arm: dict[str, Any]) -> str:
    return f"{arm['start']} {arm['vocabulary']}, {arm['fraction']:.0%}"


def run(config: SweepConfig) -> dict[str, Any]:
    """Run the sweep, or what is left of it.

    Returns:
        `arms`, `baselines`, `comparisons`, `search` (rates tried), `best`, the best arm on validation, and
        `nodes`, the Ray nodes the arms ran on.

    Raises:
        InputError: encoder or task are missing, or the grid is empty.
        EnvironmentFault: an arm failed twice.
    """
    if not config.encoder or not config.task:
        raise InputError("--encoder and --task: both are needed; see `python -m jobs.pretrain` and `jobs.build_task`")
    if not (config.vocabularies and config.fractions and config.starts):
        raise InputError("--vocabularies, --fractions, --starts: the grid is empty; give at least one of each")
    encoder, folder = str(Path(config.encoder).absolute()), str(Path(config.task).absolute())
    config = dataclasses.replace(config, encoder=encoder, task=folder)  # workers have another current folder
    session = tracking.start(config.tracking, "sweep")
    task = load(Path(config.task))
    vocabulary = Ensemble.load(Path(config.encoder) / FILE_NAME)
    for name in config.vocabularies:
        vocabulary.member(name)
    settings = dataclasses.asdict(config)
    root = Path(config.output or launch.storage() / "sweeps" / identity(config, task)).absolute()
    with launch.connect():
        import ray

        say(f"[sweep] learning rates: {config.search_trials} short trials each for encoder and CNN")
        search = ray.remote(_search).options(num_cpus=1)
        found_rates = ray.get([search.remote("encoder", settings), search.remote("cnn", settings)])
        (encoder_rate, encoder_tried), (cnn_rate, cnn_tried) = found_rates
        planned = planned_arms(config, encoder_rate)
        say(f"[sweep] encoder {encoder_rate:.2g}, CNN {cnn_rate:.2g}; {len(planned)} arms and the baselines")
        reference = ray.remote(_baselines).options(num_cpus=1).remote(settings, cnn_rate)
        found, nodes = _run_arms(root, planned, config.concurrent)
        reference = ray.get(reference)
    best = max(found, key=lambda arm: (arm["validation_mcc"], arm["name"]))
    arms.name_baselines(best, _rivals(reference, best["fraction"]))
    for arm_config, arm in zip(planned, found, strict=True):
        arms.record(session, arm_config, arm)
    shown = [{k: v for k, v in b.summary().items() if k in BASELINE_COLUMNS} for b in reference]
    for baseline in reference:
        settings = {"capped": baseline.capped, "cap": config.trial.cap, "seed": config.trial.seed, **baseline.chosen}
        arms.record(session, settings, {**baseline.summary(), "hashes": task.hashes})
    return {
        "arms": found,
        "baselines": shown,
        "comparisons": compare(task, found, reference),
        "nodes": nodes,
        "search": {"vocabulary": config.vocabularies[0], "encoder": encoder_tried, "cnn": cnn_tried},
        "best": best,
    }


def _rivals(reference: list[results.ArmResult], fraction: float) -> dict[str, float]:
    """Validation MCC of the baselines that saw as large a share of the labels, capped like the arms or not."""
    chosen = [baseline for baseline in reference if baseline.fraction == fraction]
    return {f"{b.name}{', same cap' if b.capped else ''}": round(b.validation["mcc"], 6) for b in chosen}


def _run_and_print(config: SweepConfig) -> None:
    result = run(config)
    for arm in [*result["arms"], *result["baselines"]]:
        low, high = arm["interval"]
        print(f"{arm['name']:28s} {arm['fraction']:5.0%} {arm['test_mcc']:7.3f}  ({low:.3f} to {high:.3f})")
    print(f"best on validation: {result['best']['name']}, head in {result['best']['head']}")


PRESETS = {
    "default": SweepConfig(),
    "smoke": SweepConfig(
        fractions=(1.0,),
        search_trials=1,
        search_updates=2,
        search_rows=40,
        cnn_updates=10,
        trial=TrialConfig(updates=4, batch_rows=16, cap=64),
    ),
}


def main() -> None:
    """The command line."""
    launch.main(
        PRESETS, _run_and_print, "python -m jobs.sweep", "Vocabulary, label fraction and start, with baselines."
    )


if __name__ == "__main__":
    from jobs.sweep import main  # by its own name, so that workers can import what they are sent

    main()
