"""How the activations compare over all stored seeds: accuracy, losses, confidence."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mnist_mlp import study
from mnist_mlp.evaluation import (
    Interval,
    Result,
    bootstrap_interval,
    mean_interval,
)
from mnist_mlp.facts import Facts
from mnist_mlp.over_seeds import TEST_IMAGES, Groups, by_image, repeats
from mnist_mlp.study import StoredRun

Values = dict[str, NDArray[np.float64]]
"""By label, a value a seed."""
MEASURED = (
    "test_accuracy",
    "test_loss",
    "validation_loss",
    "loss_wrong",
    "expected_calibration_error",
)


def measure(groups: Groups, of: str | Callable[[StoredRun], float]) -> Values:
    """Return one number of every run, by label; ``of`` names a field or computes it."""
    get = (lambda run: getattr(run, of)) if isinstance(of, str) else of
    return {label: np.array([get(run) for run in runs], float) for label, runs in groups.items()}


def differences(groups: Groups, of: str | Callable[[StoredRun], float]) -> Values:
    """Return every other label's values minus ReLU's, for the seeds that both have."""
    relu, *others = groups
    pairs = {label: study.same_seeds(groups[relu], groups[label]) for label in others}
    return {
        label: measure({label: b}, of)[label] - measure({relu: a}, of)[relu]
        for label, (a, b) in pairs.items()
    }


def intervals(values: Values, level: float = 0.95) -> dict[str, Interval]:
    """Return mean and confidence interval for each label."""
    return {label: mean_interval(v, level) for label, v in values.items()}


def live(results: Iterable[Result], stored: Iterable[StoredRun | None]) -> Facts:
    """Compare runs with the study's of the same recipe, data and seed; ``gap`` None: not stored.

    On the machine of the study both are equal; another processor or BLAS adds up in another order,
    a unit then falls on the other side of 0, and the runs part. Seeds differ by less than 0.25
    points from each other, so that a larger difference means that something else has changed.
    """
    pairs = list(zip(results, stored, strict=True))
    gaps = [abs(result.test_accuracy - run.test_accuracy) for result, run in pairs if run]
    return {"gap": max(gaps) if len(gaps) == len(pairs) else None}


def other_images(groups: Groups, level: float = 0.95) -> Facts:
    """Return the difference of test accuracies, LReLU minus ReLU, in two senses of "again".

    ``seeds``: other seeds, the same test images; ``both``: other seeds and other test images.
    """
    relu, lrelu = groups.values()
    pairs = list(zip(relu, lrelu, strict=True))
    return {
        "seeds": mean_interval([b.test_accuracy - a.test_accuracy for a, b in pairs]),
        "both": bootstrap_interval(by_image(relu, lrelu), TEST_IMAGES, level),
        "wins": sum(b.test_accuracy > a.test_accuracy for a, b in pairs),
    }


def asked(runs: Sequence[StoredRun], implementation: str, label: str) -> Facts:
    """Return what the study says about the reader's own slope; ``found`` None: nothing."""
    recipe = study.COMPARED[implementation].get(label)
    groups = recipe and repeats(
        runs, implementation, "mnist", {"ReLU": study.CHOSEN, "LReLU": recipe}
    )
    return {"slope": label, "found": other_images(groups) if groups else None}


def comparison(runs: Sequence[StoredRun], implementation: str) -> Facts:
    """Compare the activations over all seeds: accuracy, losses, first epoch, dead units."""
    groups, torch = all_seeds(runs, implementation), all_seeds(runs, "torch")
    accuracy = differences(groups, "test_accuracy")
    pairs = {
        label: dict(zip(("ReLU", label), study.same_seeds(groups["ReLU"], runs_), strict=True))
        for label, runs_ in groups.items()
        if label != "ReLU"
    }
    return {
        "groups": groups,
        "test": measure(groups, "test_accuracy"),
        "train_loss": measure(groups, "train_loss"),
        "validation_loss": measure(groups, "validation_loss"),
        "test_loss": measure(groups, "test_loss"),
        "looked": len(study.FIRST_LOOK),
        "differences": accuracy,
        "accuracy": intervals(accuracy),
        "together": intervals(accuracy, 1 - 0.05 / len(accuracy)),  # Bonferroni
        "images": {label: other_images(pair) for label, pair in pairs.items()},
        "images_together": {
            label: other_images(pair, 1 - 0.05 / len(accuracy))["both"]
            for label, pair in pairs.items()
        },
        "loss_differences": differences(groups, "test_loss"),
        "losses": intervals(differences(groups, "test_loss")),
        "train_losses": intervals(differences(groups, "train_loss")),
        "validation_losses": intervals(differences(groups, "validation_loss")),
        "pair": confidence(groups, "LReLU(0.1)") | confirmed(groups),
        "large": confidence(groups, "LReLU(0.3)"),
        "pytorch": confidence(torch, "LReLU(0.1)") | confirmed(torch),
        "frameworks": implementations(runs),
        "dead": {label: np.mean([r.dead_units for r in g], axis=0) for label, g in groups.items()},
    }


def all_seeds(runs: Sequence[StoredRun], implementation: str) -> dict[str, list[StoredRun]]:
    """Return the compared activations with as many seeds as each has."""
    recipes = study.COMPARED[implementation]
    return {label: study.select(runs, implementation, r) for label, r in recipes.items()}


def confidence(groups: Groups, lrelu: str) -> Facts:
    """Say how sure ReLU and an LReLU are, rightly and wrongly, over the seeds of both."""
    pair = dict(zip(("ReLU", lrelu), study.same_seeds(groups["ReLU"], groups[lrelu]), strict=True))
    gaps = {name: differences(pair, name)[lrelu] for name in MEASURED}
    explained = {
        "share of\ncorrect images": differences(pair, right_share)[lrelu],
        "share of\nmisread images": differences(pair, wrong_share)[lrelu],
        "calibration\nerror (ECE)": gaps["expected_calibration_error"],
    }
    return {
        "means": {
            name: {label: float(v.mean()) for label, v in measure(pair, name).items()}
            for name in MEASURED
        },
        "misread": {label: float(v.mean()) for label, v in measure(pair, misread).items()},
        "gaps": intervals(gaps),
        "explained": explained,
        "parts": dict(zip(("right", "wrong"), intervals(explained).values(), strict=False)),
    }


def confirmed(groups: Groups) -> Facts:
    """Return what LReLU(0.1) adds to ReLU's measures in the seeds looked at first, and in the new.

    ``shrinks``: the first and the new relative difference of the test losses.
    """
    looked = len(study.FIRST_LOOK)  # they come first: runs stand in the order of their seeds
    gaps = {name: differences(groups, name)["LReLU(0.1)"] for name in MEASURED}
    relu = measure(groups, "test_loss")["ReLU"]
    parts = (slice(looked), slice(looked, None))
    first, new = (intervals({name: gap[part] for name, gap in gaps.items()}) for part in parts)
    shrinks = [float(gaps["test_loss"][part].mean() / relu[part].mean()) for part in parts]
    return {"first": first, "new": new, "shrinks": shrinks}


def misread(run: StoredRun) -> float:
    """Return how many test images a run misreads."""
    return float(len(run.errors))


def right_share(run: StoredRun) -> float:
    """Return what the correctly classified images add to the mean test loss."""
    return (run.loss_right or 0.0) * run.test_accuracy


def wrong_share(run: StoredRun) -> float:
    """Return what the misread images add to the mean test loss."""
    return (run.loss_wrong or 0.0) * (1 - run.test_accuracy)


def implementations(runs: Sequence[StoredRun]) -> Facts:
    """Compare PyTorch's networks with NumPy's, seed by seed, for every slope that both have."""
    ours, gaps = all_seeds(runs, "numpy"), {}
    for label, theirs in all_seeds(runs, "torch").items():
        a, b = study.same_seeds(ours[label], theirs)
        gaps[label] = np.array(
            [y.test_accuracy - x.test_accuracy for x, y in zip(a, b, strict=True)]
        )
    corrected = intervals(gaps, 1 - 0.05 / len(gaps))
    both = {
        of: np.mean(
            [differences(all_seeds(runs, name), of)["LReLU(0.1)"] for name in study.COMPARED],
            axis=0,
        )
        for of in ("test_accuracy", "test_loss")
    }
    new = {of: values[len(study.FIRST_LOOK) :] for of, values in both.items()}
    return {
        "labels": intervals(gaps),
        "corrected": corrected,
        "both": intervals(both),
        "both_new": intervals(new) | {"n": len(new["test_loss"])},
    }
