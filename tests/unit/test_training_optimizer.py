import pytest
import torch

from genomics_fm.model.encoder import EncoderConfig
from genomics_fm.model.heads import new_classifier, new_language_model
from genomics_fm.training.optimizer import OptimizerConfig, adamw, learning_rate, set_learning_rate

torch.set_num_threads(1)
TINY = EncoderConfig(vocabulary_size=64, layers=1, width=16, heads=2, ffn_width=24)


def test_the_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=4)
    rates = [learning_rate(config, step, 14) for step in range(15)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[5:] == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0])


def test_without_warm_up_the_first_update_is_at_the_peak() -> None:
    config = OptimizerConfig(learning_rate=2.0, warmup_steps=0)
    assert [learning_rate(config, step, 2) for step in range(2)] == [2.0, 1.0]


def test_fewer_steps_than_the_warm_up_stay_in_it() -> None:
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=10)
    assert [learning_rate(config, step, 5) for step in (0, 4)] == [0.1, 0.5]


def test_published_numbers() -> None:
    """SPEC 1.F."""
    config = OptimizerConfig()
    assert (config.learning_rate, config.betas, config.eps, config.weight_decay) == (1e-4, (0.9, 0.98), 1e-6, 0.01)
    assert (config.clip_norm, config.warmup_steps) == (1.0, 10_000)


def test_matrices_decay_and_biases_and_norms_do_not() -> None:
    for model in (new_language_model(TINY, 0), new_classifier(TINY, 2, 0)):
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        decayed, plain = adamw(model, OptimizerConfig(weight_decay=0.5)).param_groups
        assert (decayed["weight_decay"], plain["weight_decay"]) == (0.5, 0.0)
        assert all(parameter.ndim == 2 for parameter in decayed["params"])
        assert all(parameter.ndim == 1 for parameter in plain["params"])
        grouped = [names[id(p)] for p in decayed["params"]] + [names[id(p)] for p in plain["params"]]
        assert sorted(grouped) == sorted(names.values())  # tied weights once


def test_the_order_of_parameters_is_that_of_their_names() -> None:
    model = new_language_model(TINY, 0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in adamw(model, OptimizerConfig()).param_groups:
        found = [names[id(parameter)] for parameter in group["params"]]
        assert found == sorted(found)


def test_setting_the_rate_sets_it_for_all_parameters() -> None:
    optimizer = adamw(new_language_model(TINY, 0), OptimizerConfig())
    set_learning_rate(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.125]
