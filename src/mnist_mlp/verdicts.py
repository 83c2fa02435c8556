"""What the earlier report's claims are judged by: all stored seeds, never one run."""

from collections.abc import Mapping, Sequence

import numpy as np

from mnist_mlp import over_seeds, study
from mnist_mlp.evaluation import mean_interval
from mnist_mlp.experiments import recipe_search, speed, stress
from mnist_mlp.facts import Facts
from mnist_mlp.findings import all_seeds, differences, measure, other_images
from mnist_mlp.over_seeds import Groups, shared_images, top3_scores
from mnist_mlp.study import StoredRun

EARLIER = {
    "numpy": {
        "test": {"ReLU": 0.9701, "LReLU": 0.9682},
        "validation": {"ReLU": 0.96725, "LReLU": 0.96983},
        "train": {"ReLU": 0.98590, "LReLU": 0.98658},
    },
    "torch": {
        "test": {"ReLU": 0.9483, "LReLU": 0.9394},
        "validation": {"ReLU": 0.9462, "LReLU": 0.9404},
        "train": {"ReLU": 0.9505, "LReLU": 0.9411},
    },
}
"""Accuracies at the end, quoted from the earlier report."""
SHOWN = ("test_accuracy", "test_loss", "validation_loss")


def claims(runs: Sequence[StoredRun], implementation: str, label: str) -> Facts:
    """Return the facts of the claims; ``label`` is the LReLU that is compared with ReLU."""
    groups = all_seeds(runs, implementation)
    relu, lrelu = study.same_seeds(groups["ReLU"], groups[label])
    pair = {"ReLU": relu, label: lrelu}
    again = other_images(pair)
    recipes = {"ReLU": relu[0].recipe, "LReLU": lrelu[0].recipe}
    (other,) = study.COMPARED.keys() - {implementation}
    others = over_seeds.repeats(runs, other, "mnist", recipes)
    return {
        "label": label,
        "n": len(relu),
        "earlier": EARLIER[implementation],
        "accuracy": again["seeds"],
        "both": again["both"],
        "wins": again["wins"],
        "mild": mean_interval(differences(groups, "test_accuracy")["LReLU(0.1)"]),
        "train": mean_interval(differences(pair, "train_accuracy")[label]),
        "validation": mean_interval(differences(pair, "validation_accuracy")[label]),
        "shown": {name: measure(pair, name) for name in SHOWN},
        "first": measure(pair, "first_validation_accuracy"),
        "dead": float(np.mean([run.dead_units for run in groups["ReLU"]], axis=0).max()),
        **of_classes({"ReLU": relu, "LReLU": lrelu}, others),
        **of_best_images({"ReLU": relu, "LReLU": lrelu}, others),
        **of_curves({"ReLU": relu, "LReLU": lrelu}),
        **elsewhere(runs),
    }


def of_classes(pair: Groups, others: Groups) -> Facts:
    """Return in how many classes each network has fewer errors, and where that is shown."""
    found = over_seeds.classes(pair, others)
    means = [gap.mean for gap in found["classes"]]
    return {
        "relu_classes": sum(mean > 0 for mean in means),
        "lrelu_classes": sum(mean < 0 for mean in means),
        "shown_classes": found["shown_classes"],
        "lasting_classes": found["lasting_classes"],
        "shown_for_relu": found["shown_for_relu"],
        "class_gaps": found["classes"],
        "widest": int(np.abs(means).argmax()),
        "changed": found["changed"],
    }


def of_best_images(pair: Groups, others: Groups) -> Facts:
    """Return how certain the best images are, how different, and how many both choose."""
    a, b = (np.exp([top3_scores(run) for run in group]) for group in pair.values())
    best = over_seeds.best_images(pair, others)
    widest = np.abs(a - b).max(axis=(1, 2))  # a seed each
    return {
        "gap": float(widest.max()),
        "within": int(np.sum(widest < 1e-7)),
        "shared": best["both"],
        "shared_images": mean_interval(list(map(shared_images, *pair.values()))),
        "surer": best,
    }


def of_curves(pair: Groups) -> Facts:
    """Return how the losses differ by epoch, where they end, and when each settles."""
    curves = over_seeds.curves(pair)
    return {
        "loss_gaps": curves["gaps"],
        "end_train": {name: float(curve[:, -1].mean()) for name, curve in curves["train"].items()},
        "settled": curves["settled"],
        "settled_later": curves["settled_later"],
    }


def elsewhere(runs: Sequence[StoredRun]) -> Facts:
    """Return what the claims need from the other experiments, NumPy's in both notebooks."""
    settings, paced, search = stress(runs)["settings"], speed(runs), recipe_search(runs)
    wide = differences(study.by_label(runs, "numpy"), "test_accuracy")["LReLU(0.3)"]
    mild = differences(study.by_label(runs, "numpy", study.PAIR), "validation_accuracy")
    return {
        "narrow": settings["narrow and deep 16x8"]["ReLU"],
        "deep": settings["narrow and deep 16x8"]["LReLU(0.3)"],
        "steep": settings["lr x4"]["LReLU(0.3)"],
        "small": settings["small init 64x6"]["ReLU"],
        "faster": paced["faster"],
        "out_of_reach": highest(paced["rates"]["LReLU(0.3)"]) < highest(paced["rates"]["ReLU"]),
        "steep_slope": paced["steep_slope"],
        "sigmoid_first": paced["first"]["sigmoid"],
        "wide": mean_interval(wide),
        "wide_wins": int(np.sum(wide > 0)),
        "gain": search["total"],
        "gained": search["gained"],
        "mild_validation": mean_interval(mild["LReLU(0.1)"]),
    }


def highest(by_rate: Mapping[str, float]) -> float:
    """Return the highest mean of a grid of learning rates; NaN, a seed that diverged, is none."""
    return float(np.nanmax(list(by_rate.values())))
