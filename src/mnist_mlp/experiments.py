"""What the stored experiments beside the comparison show: the recipe, odd networks, the speed."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mnist_mlp import study
from mnist_mlp.evaluation import mean_interval
from mnist_mlp.facts import Facts
from mnist_mlp.findings import Values, all_seeds, differences, intervals, measure
from mnist_mlp.over_seeds import kept
from mnist_mlp.study import StoredRun

MAJORITY = 1348 / 12000  # of MNIST's validation images in class 1, in every stratified split
GOAL = 0.97  # validation accuracy whose epoch tells how fast a network learns


def recipe_search(runs: Sequence[StoredRun]) -> Facts:
    """Say what each step of the recipe adds, and what was searched, on validation data alone."""
    steps = measure(study.by_label(runs, "numpy", study.LADDER), "validation_accuracy")
    relu = measure(study.by_label(runs, "numpy", study.SEARCH), "validation_accuracy")
    lrelu = measure(study.by_label(runs, "numpy", study.FINALISTS), "validation_accuracy")
    both = {name: (relu[name] + values) / 2 for name, values in lrelu.items()}
    finalists = sorted(lrelu, key=lambda name: -both[name].mean())
    gains = {after: steps[after] - steps[before] for before, after in pairwise(steps)}
    return {
        "steps": steps,
        "gains": gains,
        "gained": intervals(gains),
        "total": mean_interval(steps["+ dropout"] - steps["SGD"]),
        "chosen": study.CHOSEN,
        "start": study.BASE,
        "relu": relu,
        "lrelu": lrelu,
        "both": both,
        "finalists": finalists,
        "others": sorted(set(relu) - set(lrelu), key=lambda name: -relu[name].mean()),
        "lead": mean_interval(both[finalists[0]] - both[finalists[1]]),
    }


def stress(runs: Sequence[StoredRun]) -> Facts:
    """Return what happened in each setting of the search for a case where the activation matters.

    ``settings[setting][label]``: see :func:`survivors`; ``winner``: who was better than the other
    in every seed, the label, "ReLU" or "".
    """
    settings = {}
    for setting, recipe in study.STRESS.items():
        groups = study.by_label(runs, "numpy", study.with_alphas(recipe, study.STRESS_ALPHAS))
        settings[setting] = {
            label: survivors(group) | {"winner": winner(groups["ReLU"], group, label)}
            for label, group in groups.items()
        }
    return {"settings": settings, "majority": MAJORITY}


def survivors(group: Sequence[StoredRun]) -> Facts:
    """Return what became of the runs that did not diverge.

    ``dead``: of their units at the end, whose input is positive on no image. ``off``: that of their
    worst layer, the least and the largest of the runs, after an epoch and at the end. ``stuck``:
    at the largest class; of these are ``blocked`` those with a layer that is off as a whole.
    """
    finished = [run for run in group if run.diverged_after is None]
    accuracies = np.array([run.validation_accuracy for run in finished])
    dead = [np.average(run.dead_units[-1], weights=run.recipe.hidden) for run in finished]
    off = np.array([[max(run.dead_units[1]), max(run.dead_units[-1])] for run in finished])
    stuck = accuracies < MAJORITY + 0.005
    return {
        "runs": len(group),
        "diverged": len(group) - len(finished),
        "lost": np.zeros(len(group) - len(finished)),
        "accuracies": accuracies,
        "median": float(np.median(accuracies)) if finished else math.nan,
        "stuck": int(stuck.sum()),
        "blocked": int(np.sum(off[stuck, 1] == 1)) if finished else 0,
        "off": [(float(e.min()), float(e.max())) for e in off.T],
        "dead": float(np.mean(dead)) if finished else math.nan,
    }


def winner(relu: Sequence[StoredRun], other: Sequence[StoredRun], label: str) -> str:
    """Name who is better on validation data in every seed; a run that diverged has lost."""

    def score(run: StoredRun) -> float:
        return -1.0 if run.diverged_after is not None else run.validation_accuracy

    gaps = [score(b) - score(a) for a, b in zip(relu, other, strict=True)]
    return label if min(gaps) > 0 else "ReLU" if max(gaps) < 0 else ""


def speed(runs: Sequence[StoredRun]) -> Facts:
    """Compare how fast the activations learn, each at the shared and at rates of its own.

    A run that never reaches ``GOAL`` counts as later than every other; seeds are compared one by
    one, by rank (sign test).
    """
    groups = study.by_label(runs, "numpy", study.PACED)
    epochs = measure(groups, epochs_to_goal)
    return learning_rates(runs) | {
        "groups": groups,
        "n": len(groups["ReLU"]),
        "goal": GOAL,
        "curves": {
            label: np.array([kept(run, "history").validation_accuracy for run in group])
            for label, group in groups.items()
        },
        "first": measure(groups, "first_validation_accuracy"),
        "epochs": epochs,
        "later": {label: sign_test(epochs["ReLU"], v) for label, v in epochs.items()},
        "later_than_mild": {
            label: sign_test(epochs["LReLU(0.1)"], v) for label, v in epochs.items()
        },
        "faster": rectifiers_are_faster(epochs),
        "steep_slope": sign_test(epochs["tanh"], epochs["LReLU(0.3)"]),
        "validation": measure(groups, "validation_accuracy"),
        "test": measure(groups, "test_accuracy"),
        "accuracy": intervals(differences(groups, "test_accuracy")),
        "mild": intervals(differences(all_seeds(runs, "numpy"), "test_accuracy"))["LReLU(0.1)"],
    }


def learning_rates(runs: Sequence[StoredRun]) -> Facts:
    """Return what each activation comes to at every learning rate of its grid, and how fast."""
    grid = {label: study.by_label(runs, "numpy", r) for label, r in study.RATES.items()}
    means = {
        label: {lr: v.mean() for lr, v in measure(by_rate, final_accuracy).items()}
        for label, by_rate in grid.items()
    }
    arrivals = {label: measure(by_rate, epochs_to_goal) for label, by_rate in grid.items()}
    return {
        "rates": means,
        "best": {label: best_rate(by_rate) for label, by_rate in means.items()},
        "arrivals": arrivals,
        "fastest": {
            label: min(by_rate, key=lambda lr: float(by_rate[lr].mean()))
            for label, by_rate in arrivals.items()
        },
        "grid_seeds": len(study.SEARCH_SEEDS),
        "shared_rate": f"{study.CHOSEN.lr:g}",
    }


def best_rate(accuracies: Mapping[str, float]) -> str:
    """Return the learning rate with the highest mean; NaN, a seed that diverged, is the lowest."""
    return max(accuracies, key=lambda rate: float(np.nan_to_num(accuracies[rate])))


def final_accuracy(run: StoredRun) -> float:
    """Return the validation accuracy at the end, NaN if training diverged."""
    return run.validation_accuracy if run.diverged_after is None else math.nan


def epochs_to_goal(run: StoredRun) -> float:
    """Return the first epoch with ``GOAL`` validation accuracy, infinity if there is none."""
    reached = np.flatnonzero(np.array(kept(run, "history").validation_accuracy) >= GOAL)
    return float(reached[0]) if len(reached) else math.inf


def sign_test(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> Facts:
    """Count in how many pairs theirs is later, equal and earlier; exact two-sided sign test."""
    later, earlier = int(np.sum(theirs > ours)), int(np.sum(theirs < ours))
    p = float(stats.binomtest(later, later + earlier).pvalue) if later + earlier else 1.0
    return {"later": later, "equal": len(ours) - later - earlier, "earlier": earlier, "p": p}


def rectifiers_are_faster(epochs: Values) -> bool:
    """Say whether ReLU and LReLU(0.1) both come to ``GOAL`` before every smooth activation."""
    tests = [
        sign_test(epochs[rectifier], epochs[smooth])
        for rectifier in study.PAIR
        for smooth in epochs
        if "ReLU" not in smooth
    ]
    return all(test["later"] > test["earlier"] and test["p"] < 0.05 for test in tests)
