"""Events of a run's log as lines for people."""

from typing import Any

from genomics_fm.training.metrics import START, VALIDATION


def described(event: dict[str, Any]) -> str:
    """An event as a line for people."""
    if event["event"] == START:
        began = f"resumed at step {event['step']}" if event["step"] else "started at step 0"
        nodes = event["nodes"]
        where = f", {len(nodes)} worker{'s' * (len(nodes) != 1)} on {', '.join(sorted(set(nodes)))}"
        how = [f"{event['parallel']}: {event['why']}"] if "parallel" in event else []
        return "; ".join([*event["skipped"], began + where, *how])
    if event["event"] == VALIDATION:
        scores = (_scored(name, figures) for name, figures in event["vocabularies"].items())
        return f"held-out after step {event['step']}: {'; '.join(scores)}"
    fields = (f"{name} {value}" for name, value in event.items() if name not in ("event", "unixtime"))
    return f"{event['event']}: {', '.join(fields)}"


def _scored(vocabulary: str, figures: dict[str, Any]) -> str:
    """`bpe loss 5.123, 31.2 % of bases, Markov 34.0 % (order 5), 35.1 % (order 11)`."""
    every = figures["all"]
    models = {name: of_model["base_accuracy"] for name, of_model in every["markov"].items() if "," not in name}
    beside = ", ".join(f"{_percent(share)} ({name})" for name, share in models.items())
    loss = "-" if every["loss"] is None else f"{every['loss']:.3f}"
    said = f"{vocabulary} loss {loss}, {_percent(every['base_accuracy'])} of bases"
    return f"{said}, Markov {beside}" if beside else said


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
