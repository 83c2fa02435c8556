"""The numbers that the report's text needs, section by section; no Korean, no formatting.

A function that bears a template's name returns what that template fills in.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnist_mlp.checks import (
    LOSS_LIMIT,
    PROBE,
    WEIGHT_LIMIT,
    Agreement,
    GradientError,
    flow_over_an_epoch,
)
from mnist_mlp.data import Dataset, Split
from mnist_mlp.draws import initial_variance
from mnist_mlp.evaluation import (
    Result,
    expected_calibration_error,
    log_probabilities,
    mcnemar,
    one_reads,
    reliability,
)
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import History

Facts = dict[str, Any]
SHOWN = 24  # of the images that one network alone reads, in the figure


def gradient_check(errors: Mapping[str, Sequence[GradientError]]) -> Facts:
    """Line up the errors of each tensor under each activation's label."""
    rows = list(zip(*errors.values(), strict=True))
    worst = max(row.relative_error for rows in errors.values() for row in rows)
    return {"labels": list(errors), "rows": rows, "worst": worst}


def conditions(dataset: Dataset, recipe: Recipe) -> Facts:
    """Return what was trained on what; ``recipe`` is that of LReLU."""
    return {"dataset": dataset, "recipe": recipe}


def gradient_flow(
    deep: Mapping[str, Recipe], shallow: Mapping[str, Recipe], split: Split, seeds: Sequence[int]
) -> Facts:
    """Measure how dL/dz changes from the last hidden layer to the first, in two depths of network.

    ``deep[label]`` and ``shallow[label]``: see :func:`relative_flow`.
    """
    return {
        "deep": {label: relative_flow(recipe, split, seeds) for label, recipe in deep.items()},
        "shallow": {label: relative_flow(r, split, seeds) for label, r in shallow.items()},
        "seeds": len(seeds),
        "images": len(split.labels),
        "probe": min(PROBE, len(split.labels)),
    }


def relative_flow(recipe: Recipe, split: Split, seeds: Sequence[int]) -> Facts:
    """Return dL/dz by hidden layer relative to the last one, geometric mean over initial draws.

    ``start`` and ``after`` (an epoch on ``split``) are measured, ``predicted`` is the formula.
    """
    pairs = [flow_over_an_epoch(recipe, split, seed) for seed in seeds]
    start, after = (
        np.exp(np.mean([np.log(flow / flow[-1]) for flow in flows], axis=0))
        for flows in zip(*pairs, strict=True)
    )
    return {
        "start": start,
        "after": after,
        "predicted": predicted_flow(recipe),
    }


def predicted_flow(recipe: Recipe) -> NDArray[np.float64]:
    """Return dL/dz by hidden layer, relative to the last, as independent weights would give it.

    One layer further back, its RMS is ``sqrt(mean f'^2) sqrt(M Var W)`` times as large, where M is
    the number of units of the layer that it comes from. For sigmoid and tanh the largest f' is
    used, which makes it an upper bound.
    """
    squares = {"relu": (1 + recipe.alpha**2) / 2, "sigmoid": 1 / 16, "tanh": 1.0}
    factors = [
        math.sqrt(squares[recipe.activation] * M * initial_variance(recipe, D, M))
        for D, M in pairwise(recipe.hidden)
    ]
    return np.cumprod([1.0, *reversed(factors)]).astype(np.float64)[::-1]


def training(relu: Result, lrelu: Result) -> Facts:
    """Return both results and how uncertain one test accuracy is (95 %, normal approximation)."""
    n = len(relu.labels)
    spread = max(math.sqrt(r.test_accuracy * (1 - r.test_accuracy) / n) for r in (relu, lrelu))
    gap = abs(relu.test_accuracy - lrelu.test_accuracy)
    return {"relu": relu, "lrelu": lrelu, "margin": 1.96 * spread, "gap": gap}


def learned(relu: Result, lrelu: Result) -> bool:
    """Say whether both networks read most of the test images; else there is little to compare."""
    return min(relu.test_accuracy, lrelu.test_accuracy) > 0.5


def a_confusion(relu: Result, lrelu: Result) -> Facts:
    """Compare two confusion matrices: totals, classes, the paired test."""
    both = {"ReLU": relu, "LReLU": lrelu}
    return {
        "relu": relu,
        "lrelu": lrelu,
        "learned": learned(relu, lrelu),
        "cases": [
            case
            for name in (relu.label, lrelu.label)
            for case in [c for c in one_reads(relu, lrelu) if c.reader == name][:SHOWN]
        ],
        "shown": SHOWN,
        "ahead": int(relu.errors.sum() - lrelu.errors.sum()),  # images that LReLU reads more
        "hardest": {name: hardest_classes(result) for name, result in both.items()},
        "test": mcnemar(relu.correct, lrelu.correct),
    }


def hardest_classes(result: Result) -> Facts:
    """Return the classes with most errors, and how many each of them has."""
    most = int(result.errors.max())
    return {"classes": np.flatnonzero(result.errors == most).tolist(), "errors": most}


def first_layer(
    layers: Mapping[str, tuple[NDArray[Any], NDArray[Any], NDArray[Any]]],
    images: NDArray[np.float32],
) -> Facts:
    """Return units of two first layers ``{label: (W, b, W before training)}``.

    ``units``: the first eight and up to two dead ones, whose input is positive on no image.
    ``likeness``: the mean correlation of what the same unit learned in both networks, the change of
    its weights but for what is proportional to the first ones; ``control``: that of neighbours.
    """
    units, dead, learned = {}, {}, {}
    for label, (W, b, before) in layers.items():
        change = W - before
        # What L2 takes from every weight in proportion would be alike in any two networks.
        learned[label] = change - before * ((change * before).sum(0) / (before**2).sum(0))
        dead[label] = np.flatnonzero((images @ W + b).max(axis=0) <= 0)
        shown = {*range(8), *dead[label][:2].tolist()}
        units[label] = [(W[:, k], f"#{k}" + " off" * (k in dead[label])) for k in sorted(shown)]
    relu, lrelu = learned.values()
    return {
        "units": units,
        "dead": {label: len(found) for label, found in dead.items()},
        "width": relu.shape[1],
        "likeness": likeness(relu, lrelu),
        "control": likeness(relu, np.roll(lrelu, 1, axis=1)),
    }


def likeness(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    """Return the mean correlation of the columns of two matrices; None if they hold no change."""
    if not (a.any() and b.any()):
        return None
    a, b = ((m - m.mean(axis=0)) / m.std(axis=0) for m in (a, b))
    return float((a * b).mean())


def calibration(relu: Result, lrelu: Result) -> Facts:
    """Say how sure the two networks are, and how that agrees with how often they are right."""
    both = {"ReLU": relu, "LReLU": lrelu}
    return {
        "bins": {r.label: reliability(r.run.logits, r.labels) for r in both.values()},
        "ece": {
            name: expected_calibration_error(r.run.logits, r.labels) for name, r in both.items()
        },
        "overconfident": {
            name: sum(b.low > b.said for b in reliability(r.run.logits, r.labels))
            for name, r in both.items()
        },
        "dearest": {name: loss_of_errors(r) for name, r in both.items() if not r.correct.all()},
    }


def loss_of_errors(result: Result) -> float:
    """Return the mean cross-entropy of the images that a network misreads."""
    wrong = np.flatnonzero(~result.correct)
    log_p = log_probabilities(result.run.logits[wrong])
    return float(-log_p[np.arange(len(wrong)), result.labels[wrong]].mean())


def b_top3(relu: Result, lrelu: Result) -> Facts:
    """Compare the best images of every class: how certain, how different, chosen by both."""
    pairs = list(zip(relu.top3, lrelu.top3, strict=True))
    ranks = [(a, b) for best in pairs for a, b in zip(*best, strict=True)]
    both = {"ReLU": relu, "LReLU": lrelu}
    return {
        "relu": relu,
        "lrelu": lrelu,
        "learned": learned(relu, lrelu),
        "places": 2 * len(ranks),
        "lowest": min((image for pair in ranks for image in pair), key=lambda s: s.log_probability),
        "largest_gap": max(abs(a.probability - b.probability) for a, b in ranks),
        "others": [
            (name, digit, image)
            for name, result in both.items()
            for digit, best in enumerate(result.top3)
            for image in best
            if image.label != digit
        ],
        "relu_surer": sum(x[0].shortfall < y[0].shortfall for x, y in pairs),
        "lrelu_surer": sum(x[0].shortfall > y[0].shortfall for x, y in pairs),
        "relu_saturated": saturated(relu),
        "lrelu_saturated": saturated(lrelu),
        "shared": sum(len({a.index for a in x} & {b.index for b in y}) for x, y in pairs),
    }


def saturated(result: Result) -> int:
    """Count the test images whose highest softmax probability is exactly 1 in float32."""
    z = result.run.logits.astype(np.float32)
    exp = np.exp(z - z.max(axis=1, keepdims=True))
    return int(np.sum((exp / exp.sum(axis=1, keepdims=True)).max(axis=1) == 1))


def c_curves(relu: Result, lrelu: Result) -> Facts:
    """Compare the learning curves: how often ReLU is lower, where each ends, overfitting."""
    a, b = relu.run.history, lrelu.run.history
    endings = {"ReLU": ending(a), "LReLU": ending(b)}
    return {
        "relu": a,
        "lrelu": b,
        "learned": learned(relu, lrelu),
        "epochs": len(a.train_loss) - 1,
        "endings": endings,
        "relu_lower": {
            split: int(np.sum(np.less(*(getattr(h, f"{split}_loss")[1:] for h in (a, b)))))
            for split in ("train", "validation")
        },
        "overfitted": [name for name, end in endings.items() if end["rise"] > 0.05],
    }


def ending(history: History) -> Facts:
    """Say where the validation loss is lowest and since when it stays within 5 % of that."""
    loss = np.array(history.validation_loss)
    outside = np.flatnonzero(loss > 1.05 * loss.min())
    return {
        "best": int(loss.argmin()),
        "lowest": float(loss.min()),
        "settled": int(outside[-1]) + 1 if len(outside) else 0,  # epochs + 1: never
        "rise": float(loss[-1] / loss.min() - 1),
    }


def agreement(agreements: Mapping[str, Agreement], recipe: Recipe) -> Facts:
    """Say how closely two implementations agree in float64, and where float32 parts.

    The names end in "float64" or "float32". An undefined difference is below no limit.
    """
    exact = [a for name, a in agreements.items() if name.endswith("float64")]
    loss = float(np.max([a.loss for a in exact]))
    weights = float(np.max([a.weights for a in exact]))
    singles = {
        name.split(",")[0]: parting(a) for name, a in agreements.items() if name.endswith("32")
    }
    inputs = len(exact[0].loss) * recipe.batch_size * sum(recipe.hidden)
    return {
        "agreements": agreements,
        "steps": len(exact[0].loss),
        "loss": loss,
        "weights": weights,
        "passed": loss < LOSS_LIMIT and weights < WEIGHT_LIMIT,
        "singles": singles,
        "parted": any(single["parted_at"] for single in singles.values()),
        "inputs": inputs,
    }


def parting(single: Agreement, limit: float = 1e-5) -> Facts:
    """Return the first minibatch after which the weights differ by more than ``limit``; 0: none."""
    apart = np.flatnonzero(~(np.array(single.weights) <= limit))  # NaN is apart
    return {"parted_at": int(apart[0]) + 1 if len(apart) else 0, "last": single.weights[-1]}
