"""The numbers that the report's text needs from the stored study; no Korean, no formatting.

Like ``facts``, which does the same for the runs that a notebook has just trained. Groups are stored
runs by label, ReLU first: ``{"ReLU": [seed 0, seed 1, ...], "LReLU(0.1)": [...]}``.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mnist_mlp import study
from mnist_mlp.evaluation import Interval, Result, bootstrap_interval, mean_interval
from mnist_mlp.facts import Facts, ending
from mnist_mlp.recipe import Recipe
from mnist_mlp.study import StoredRun

Groups = Mapping[str, Sequence[StoredRun]]
Values = dict[str, NDArray[np.float64]]
"""By label, a value a seed."""
MAJORITY = 1348 / 12000  # of MNIST's validation images in class 1, in every stratified split
TEST_IMAGES = 10_000  # MNIST's
GOAL = 0.97  # validation accuracy whose epoch tells how fast a network learns


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


def repeats(
    runs: Sequence[StoredRun], implementation: str, dataset: str, recipes: Mapping[str, Recipe]
) -> dict[str, list[StoredRun]]:
    """Return the stored runs of just these trainings by name, each with the same seeds.

    ``recipes`` has those of "ReLU" and "LReLU". Empty where the study does not have both.
    """
    found = {
        name: [r for r in runs if (r.implementation, r.dataset, r.recipe) == training]
        for name, recipe in recipes.items()
        for training in [(implementation, dataset, recipe)]
    }
    pair = study.same_seeds(found["ReLU"], found["LReLU"])
    return dict(zip(found, pair, strict=True)) if len(pair[0]) > 1 else {}


def classes_over_seeds(groups: Groups) -> Facts:
    """Compare two networks' errors by class over seeds, all ten classes at once (Bonferroni)."""
    if not groups:
        return {"n": 0, "classes": []}
    relu, lrelu = groups.values()
    by_class = np.subtract(class_errors(lrelu), class_errors(relu), dtype=float)
    classes = [mean_interval(by_class[:, digit], 1 - 0.05 / 10) for digit in range(10)]
    usual = {name: usual_confusions(group) for name, group in groups.items()}
    return {
        "n": len(relu),
        "classes": classes,
        "shown_classes": [digit for digit, gap in enumerate(classes) if gap.excludes_zero],
        "shown_for_relu": all(gap.mean > 0 for gap in classes if gap.excludes_zero),
        "usual": usual,
        "usual_alike": len({frozenset(u[:2] for u in known) for known in usual.values()}) == 1,
        "explained": all(
            {(4, 9), (7, 2), (5, 3)} <= {u[:2] for u in known} for known in usual.values()
        ),
        "changed": by_chance(study.disagreements, relu, lrelu),
    }


def usual_confusions(group: Sequence[StoredRun], k: int = 4) -> list[tuple[int, int, float]]:
    """Return the k most frequent (true class, answer, mean number of images a run)."""
    counts = Counter(pair for run in group for pair in run.errors.values())
    return [(true, answer, n / len(group)) for (true, answer), n in counts.most_common(k)]


def never_read(groups: Groups, others: Groups) -> Facts:
    """Return the test images that every stored network misreads, and how often others do.

    ``always``: ``{image: (true class, usual answer, its share of the networks)}``.
    """
    networks = [run for group in groups.values() for run in group]
    others_ = [run for group in others.values() for run in group]
    ever = set().union(*(run.errors for run in networks))
    images = sorted(image for image in ever if all(image in run.errors for run in networks))
    always = {}
    for image in images:
        answers = Counter(run.errors[image][1] for run in networks)
        answer, n = answers.most_common(1)[0]
        always[image] = (networks[0].errors[image][0], answer, n / len(networks))
    return {
        "always": always,
        "networks": len(networks),
        "ever": len(ever),
        "unanimous": sum(share == 1 for _, _, share in always.values()),
        "others": len(others_),
        "others_too": sum(all(image in run.errors for run in others_) for image in images),
        "seeds": len(next(iter(groups.values()))),
    }


def top_over_seeds(groups: Groups) -> Facts:
    """Say of the best images which network is surer, and how many both choose, over seeds."""
    if not groups:
        return {"n": 0}
    relu, lrelu = groups.values()
    best = [
        np.array([[rank[0] for rank in top3_scores(run)] for run in group])
        for group in (relu, lrelu)
    ]
    surer = (best[0] > best[1]).sum(axis=1)  # classes, by seed
    return {
        "n": len(relu),
        "relu_surer": float(surer.mean()),
        "most": int(np.sum(surer > 5)),
        "both": by_chance(shared_images, relu, lrelu),
    }


def curves_over_seeds(groups: Groups) -> Facts:
    """Return the loss curves of two networks over seeds, and their differences by epoch."""
    if not groups:
        return {"n": 0}
    curves = {
        split: {
            name: np.array([getattr(kept(run, "history"), f"{split}_loss") for run in group])
            for name, group in groups.items()
        }
        for split in ("train", "validation")
    }
    gaps = curves["validation"]["LReLU"] - curves["validation"]["ReLU"]
    return curves | {
        "n": len(gaps),
        "gaps": [mean_interval(gap) for gap in gaps.T],
        "train_gap": mean_interval((curves["train"]["LReLU"] - curves["train"]["ReLU"])[:, -1]),
    }


def other_images(groups: Groups) -> Facts:
    """Return the difference of test accuracies, LReLU minus ReLU, in two senses of "again".

    ``seeds``: other seeds, the same test images; ``both``: other seeds and other test images.
    """
    pairs = list(zip(*groups.values(), strict=True))
    images = sorted(set().union(*(run.errors for pair in pairs for run in pair)))
    gaps = [[(i in relu.errors) - (i in lrelu.errors) for i in images] for relu, lrelu in pairs]
    return {
        "seeds": mean_interval([lrelu.test_accuracy - relu.test_accuracy for relu, lrelu in pairs]),
        "both": bootstrap_interval(np.array(gaps, float), TEST_IMAGES),
        "wins": sum(lrelu.test_accuracy > relu.test_accuracy for relu, lrelu in pairs),
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
    groups = all_seeds(runs, implementation)
    accuracy = differences(groups, "test_accuracy")
    return {
        "groups": groups,
        "test": measure(groups, "test_accuracy"),
        "first": measure(groups, "first_validation_accuracy"),
        "train_loss": measure(groups, "train_loss"),
        "validation_loss": measure(groups, "validation_loss"),
        "test_loss": measure(groups, "test_loss"),
        "looked": len(study.FIRST_LOOK),
        "differences": accuracy,
        "accuracy": intervals(accuracy),
        "together": intervals(accuracy, 1 - 0.05 / len(accuracy)),  # Bonferroni
        "images": {
            label: other_images({"ReLU": relu, label: lrelu})
            for label in accuracy
            for relu, lrelu in [study.same_seeds(groups["ReLU"], groups[label])]
        },
        "loss_differences": differences(groups, "test_loss"),
        "losses": intervals(differences(groups, "test_loss")),
        "train_losses": intervals(differences(groups, "train_loss")),
        "validation_losses": intervals(differences(groups, "validation_loss")),
        "pair": confidence(groups),
        "torch_new": confidence(all_seeds(runs, "torch"))["new"],
        "dead": {label: np.mean([r.dead_units for r in g], axis=0) for label, g in groups.items()},
    }


def all_seeds(runs: Sequence[StoredRun], implementation: str) -> dict[str, list[StoredRun]]:
    """Return the compared activations with as many seeds as each has."""
    recipes = study.COMPARED[implementation]
    return {label: study.select(runs, implementation, r) for label, r in recipes.items()}


def confidence(groups: Groups) -> Facts:
    """Say how sure ReLU and LReLU(0.1) are, rightly and wrongly, and what new seeds confirmed."""
    pair = {label: groups[label] for label in study.PAIR}
    first, new = (
        {
            label: [run for run in runs if (run.seed in study.FIRST_LOOK) == early]
            for label, runs in pair.items()
        }
        for early in (True, False)
    )
    measures = ("expected_calibration_error", "loss_right", "loss_wrong", "validation_loss")
    return {
        "means": {
            name: {label: float(v.mean()) for label, v in measure(pair, name).items()}
            for name in measures
        },
        "gaps": {name: intervals(differences(pair, name))["LReLU(0.1)"] for name in measures},
        "parts": {
            part: intervals(differences(pair, share))["LReLU(0.1)"]
            for part, share in (("right", right_share), ("wrong", wrong_share))
        },
        "first": intervals(differences(first, "test_loss"))["LReLU(0.1)"],
        "new": intervals(differences(new, "test_loss"))["LReLU(0.1)"],
        "new_validation": intervals(differences(new, "validation_loss"))["LReLU(0.1)"],
        "first_loss": float(measure(first, "test_loss")["ReLU"].mean()),
        "new_loss": float(measure(new, "test_loss")["ReLU"].mean()),
        "explained": {
            name: differences(pair, of)["LReLU(0.1)"]
            for name, of in (
                ("loss of images\nread rightly", right_share),
                ("loss of\nmisread images", wrong_share),
                ("calibration\nerror (ECE)", "expected_calibration_error"),
            )
        },
    }


def right_share(run: StoredRun) -> float:
    """Return what the correctly classified images add to the mean test loss."""
    return (run.loss_right or 0.0) * run.test_accuracy


def wrong_share(run: StoredRun) -> float:
    """Return what the misread images add to the mean test loss."""
    return (run.loss_wrong or 0.0) * (1 - run.test_accuracy)


def by_chance(
    compare: Callable[[StoredRun, StoredRun], float],
    relu: Sequence[StoredRun],
    lrelu: Sequence[StoredRun],
) -> Facts:
    """Compare networks of one seed, and of different seeds with the same and another activation.

    ``one_seed``: the activation alone differs; ``same``: the seed alone, of which ``relu`` and
    ``lrelu`` are the two halves; ``other``: both.
    """
    others = [(a, b) for a in relu for b in lrelu if a.seed != b.seed]
    alike = [*combinations(relu, 2), *combinations(lrelu, 2)]
    return {
        "one_seed": mean_of(compare, zip(relu, lrelu, strict=True)),
        "same": mean_of(compare, alike),
        "relu": mean_of(compare, combinations(relu, 2)),
        "lrelu": mean_of(compare, combinations(lrelu, 2)),
        "other": mean_of(compare, others),
    }


def mean_of(compare: Callable[[Any, Any], float], pairs: Iterable[tuple[Any, Any]]) -> float:
    """Return the mean of a comparison over pairs of runs."""
    return float(np.mean([compare(a, b) for a, b in pairs]))


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
        "relu": relu,
        "lrelu": lrelu,
        "both": both,
        "finalists": finalists,
        "others": sorted(set(relu) - set(lrelu), key=lambda name: -relu[name].mean()),
        "lead": mean_interval(both[finalists[0]] - both[finalists[1]]),
    }


def stress(runs: Sequence[StoredRun]) -> Facts:
    """Return what happened in each setting of the search for a case where the activation matters.

    ``settings[setting][label]`` has the runs, the validation accuracies of those that finished, the
    dead fraction at their end and, for each LReLU, who was better in every seed: its label,
    "ReLU" or "".
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
    """Return accuracies and the dead fraction of the runs that did not diverge."""
    finished = [run for run in group if run.diverged_after is None]
    accuracies = np.array([run.validation_accuracy for run in finished])
    dead = [np.average(run.dead_units[-1], weights=run.recipe.hidden) for run in finished]
    return {
        "runs": len(group),
        "diverged": len(group) - len(finished),
        "lost": np.zeros(len(group) - len(finished)),
        "accuracies": accuracies,
        "median": float(np.median(accuracies)) if finished else math.nan,
        "stuck": int(np.sum(accuracies < MAJORITY + 0.005)),
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
    rates = {
        label: measure(study.by_label(runs, "numpy", recipes), final_accuracy)
        for label, recipes in study.RATES.items()
    }
    means = {label: {lr: v.mean() for lr, v in by_rate.items()} for label, by_rate in rates.items()}
    groups = study.by_label(runs, "numpy", study.PACED)
    epochs = measure(groups, epochs_to_goal)
    return {
        "groups": groups,
        "n": len(groups["ReLU"]),
        "goal": GOAL,
        "rates": means,
        "best": {label: best_rate(by_rate) for label, by_rate in means.items()},
        "grid_seeds": len(study.SEARCH_SEEDS),
        "shared_rate": f"{study.CHOSEN.lr:g}",
        "curves": {
            label: np.array([kept(run, "history").validation_accuracy for run in group])
            for label, group in groups.items()
        },
        "first": measure(groups, "first_validation_accuracy"),
        "first_epoch": intervals(differences(groups, "first_validation_accuracy")),
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


def kept(run: StoredRun, name: str) -> Any:
    """Return the ``history`` or the ``top3`` of a run.

    Raises
    ------
    study.StudyError
        If it was stored before runs kept them.
    """
    value = getattr(run, name)
    if value is None:
        raise study.StudyError(f"{run.task} was stored without its {name}: train it again")
    return value


EARLIER = {
    "numpy": {"ReLU": 0.9701, "LReLU": 0.9682},
    "torch": {"ReLU": 0.9483, "LReLU": 0.9394},
}
"""Test accuracies of the earlier report, quoted for comparison."""


def claims(runs: Sequence[StoredRun], implementation: str, label: str) -> Facts:
    """Return what the earlier report's claims are judged by: all stored seeds, never one run.

    ``label`` is the LReLU that the notebook compares with ReLU.
    """
    groups = all_seeds(runs, implementation)
    relu, lrelu = study.same_seeds(groups["ReLU"], groups[label])
    by_class = classes_over_seeds({"ReLU": relu, "LReLU": lrelu})
    gaps_by_class = [gap.mean for gap in by_class["classes"]]
    scores = np.exp([top3_scores(run) for run in (*relu, *lrelu)])
    gaps = scores[: len(relu)] - scores[len(relu) :]
    settled = {
        name: np.array([ending(kept(run, "history"))["settled"] for run in group], float)
        for name, group in (("relu", relu), ("lrelu", lrelu))
    }
    pair = {"ReLU": relu, label: lrelu}
    return elsewhere(runs) | {
        "label": label,
        "n": len(relu),
        "earlier": EARLIER[implementation],
        "accuracy": mean_interval(differences(pair, "test_accuracy")[label]),
        "mild": mean_interval(differences(groups, "test_accuracy")["LReLU(0.1)"]),
        "test": measure(pair, "test_accuracy"),
        "relu_classes": sum(gap > 0 for gap in gaps_by_class),
        "lrelu_classes": sum(gap < 0 for gap in gaps_by_class),
        "shown_classes": by_class["shown_classes"],
        "shown_for_relu": by_class["shown_for_relu"],
        "class_gaps": by_class["classes"],
        "widest": int(np.abs(gaps_by_class).argmax()),
        "wins": other_images(pair)["wins"],
        "both": other_images(pair)["both"],
        "surer": top_over_seeds(pair),
        "loss_gaps": {
            epoch: mean_interval(differences(pair, loss_at(epoch))[label]) for epoch in (2, 10, 20)
        },
        "lowest": float(scores.min()),
        "gap": float(np.abs(gaps).max()),
        "within": sum(float(np.abs(gap).max()) < 1e-7 for gap in gaps),
        "shared": by_chance(shared_images, relu, lrelu),
        "changed": by_class["changed"],
        "settled": {name: float(v.mean()) for name, v in settled.items()},
        "settled_later": mean_interval(settled["lrelu"] - settled["relu"]),
        "loss_before": mean_interval(differences(pair, loss_at(0))[label]),
        "loss_first": mean_interval(differences(pair, loss_at(1))[label]),
        "train_loss_before": mean_interval(differences(pair, loss_at(0, "train"))[label]),
        "train_loss_first": mean_interval(differences(pair, loss_at(1, "train"))[label]),
        "first": measure(pair, "first_validation_accuracy"),
        "dead": float(np.mean([r.dead_units for r in groups["ReLU"]], axis=0).max()),
    }


def elsewhere(runs: Sequence[StoredRun]) -> Facts:
    """Return what the claims need from the other experiments, NumPy's in both notebooks."""
    settings, paced, search = stress(runs)["settings"], speed(runs), recipe_search(runs)
    wide = differences(study.by_label(runs, "numpy"), "test_accuracy")["LReLU(0.3)"]
    return {
        "narrow": settings["narrow and deep 16x8"]["ReLU"],
        "deep": settings["narrow and deep 16x8"]["LReLU(0.3)"],
        "steep": settings["lr x4"]["LReLU(0.3)"],
        "small": settings["small init 64x6"]["ReLU"],
        "epochs": paced["epochs"],
        "faster": paced["faster"],
        "steep_slope": paced["steep_slope"],
        "sigmoid_first": paced["first"]["sigmoid"],
        "wide": mean_interval(wide),
        "wide_wins": int(np.sum(wide > 0)),
        "rounding": rounding(runs),
        "gain": search["total"],
        "gained": search["gained"],
        "mild_validation": mean_interval(
            differences(study.by_label(runs, "numpy", study.PAIR), "validation_accuracy")[
                "LReLU(0.1)"
            ]
        ),
    }


def rounding(runs: Sequence[StoredRun]) -> float:
    """Return on how many images NumPy's and PyTorch's ReLU differ, all but the rounding alike."""
    pair = study.same_seeds(*(all_seeds(runs, name)["ReLU"] for name in study.COMPARED))
    return mean_of(study.disagreements, zip(*pair, strict=True))


def loss_at(epoch: int, split: str = "validation") -> Callable[[StoredRun], float]:
    """Return what reads the loss of an epoch from a run."""
    return lambda run: float(getattr(kept(run, "history"), f"{split}_loss")[epoch])


def class_errors(group: Sequence[StoredRun]) -> NDArray[np.int64]:
    """Count the misread images of each class: (seeds, 10)."""
    return np.array(
        [np.bincount([true for true, _ in run.errors.values()], minlength=10) for run in group]
    )


def top3_scores(run: StoredRun) -> list[list[float]]:
    """Return the log-probabilities of a run's best images, (10 classes, 3 ranks)."""
    return [[score for _, score in best] for best in kept(run, "top3").values()]


def shared_images(a: StoredRun, b: StoredRun) -> int:
    """Count the images, of 30, that are among the best of their class for both networks."""
    return sum(
        len({image for image, _ in x} & {image for image, _ in y})
        for x, y in zip(kept(a, "top3").values(), kept(b, "top3").values(), strict=True)
    )
