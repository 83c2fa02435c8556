"""What the stored runs of other seeds say about (a), (b) and (c); no Korean, no formatting.

Groups are stored runs by name, ReLU first: ``{"ReLU": [seed 0, seed 1, ...], "LReLU": [...]}``.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mnist_mlp import study
from mnist_mlp.evaluation import bootstrap_interval, mcnemar, mean_interval
from mnist_mlp.facts import Facts, ending
from mnist_mlp.recipe import Recipe
from mnist_mlp.study import StoredRun

Groups = Mapping[str, Sequence[StoredRun]]
TEST_IMAGES = 10_000  # MNIST's


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


def classes(groups: Groups, others: Groups) -> Facts:
    """Compare two networks' errors by class over seeds, all ten classes at once (Bonferroni).

    ``lasting_classes``, ``lasting_cells``: of those shown to differ over seeds the ones that differ
    over test images too. ``others``: the same trainings in the other implementation.
    """
    if not groups:
        return {"n": 0, "classes": []}
    relu, lrelu = groups.values()
    by_class = np.subtract(class_errors(lrelu), class_errors(relu), dtype=float)
    classes = [mean_interval(by_class[:, digit], 1 - 0.05 / 10) for digit in range(10)]
    shown = [digit for digit, gap in enumerate(classes) if gap.excludes_zero]
    cells = confusions_that_differ(relu, lrelu)
    usual = {name: usual_confusions(group) for name, group in groups.items()}
    pairs = [{u[:2] for u in known} for known in usual.values()]
    return {
        "n": len(relu),
        "classes": classes,
        "shown_classes": shown,
        "lasting_classes": [digit for digit in shown if lasts(by_image(relu, lrelu, digit), 10)],
        "shown_for_relu": all(gap.mean > 0 for gap in classes if gap.excludes_zero),
        "usual": usual,
        "usual_alike": pairs[0] == pairs[1],
        "explained": all({(4, 9), (7, 2), (5, 3)} <= known for known in pairs),
        "cells": cells,
        "lasting_cells": [
            cell[:2] for cell in cells if lasts(by_image(relu, lrelu, *cell[:2]), 90)
        ],
        "changed": by_chance(study.disagreements, relu, lrelu),
        "rounding": by_rounding(study.disagreements, groups, others),
        "significant": (found := sum(map(one_is_better, relu, lrelu))),
        "by_luck": 0.05 * len(relu),
        "unlikely": bool(stats.binomtest(found, len(relu), 0.05, "greater").pvalue < 0.05),
    }


def confusions_that_differ(
    relu: Sequence[StoredRun], lrelu: Sequence[StoredRun]
) -> list[tuple[int, int, float]]:
    """Return (true class, answer, LReLU's mean minus ReLU's) of the errors shown to differ.

    All 90 at once (Bonferroni).
    """
    counts = [[Counter(run.errors.values()) for run in group] for group in (relu, lrelu)]
    found = []
    for pair in sorted(set().union(*counts[0], *counts[1])):
        gaps = [b[pair] - a[pair] for a, b in zip(*counts, strict=True)]
        interval = mean_interval(gaps, 1 - 0.05 / 90)
        if interval.excludes_zero:
            found.append((*pair, interval.mean))
    return found


def by_image(
    relu: Sequence[StoredRun],
    lrelu: Sequence[StoredRun],
    true: int | None = None,
    answer: int | None = None,
) -> NDArray[np.float64]:
    """Return (seeds, images): 1 where ReLU alone errs, -1 where LReLU alone does, 0 elsewhere.

    Of all errors, or of those with a true class or an answer. Images that nobody misreads so are
    left out.
    """

    def counted(run: StoredRun) -> set[int]:
        return {
            image
            for image, pair in run.errors.items()
            if true in (None, pair[0]) and answer in (None, pair[1])
        }

    pairs = [(counted(a), counted(b)) for a, b in zip(relu, lrelu, strict=True)]
    images = sorted(set().union(*(image for pair in pairs for image in pair)))
    return np.array([[(i in a) - (i in b) for i in images] for a, b in pairs], float)


def lasts(gaps: NDArray[np.float64], comparisons: int) -> bool:
    """Say whether a difference by image excludes zero over other seeds and other test images.

    As one of several comparisons (Bonferroni), which needs many draws of the bootstrap.
    """
    low, high = bootstrap_interval(gaps, TEST_IMAGES, 1 - 0.05 / comparisons, draws=40_000)
    return low > 0 or high < 0


def one_is_better(relu: StoredRun, lrelu: StoredRun) -> bool:
    """Say whether McNemar's test tells the error rates of two networks apart at 5 %."""
    images = sorted(relu.errors.keys() | lrelu.errors.keys())
    right = (np.array([i not in run.errors for i in images], bool) for run in (relu, lrelu))
    return mcnemar(*right).p_value < 0.05


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


def best_images(groups: Groups, others: Groups) -> Facts:
    """Say of the best images which network is surer, and how many both choose, over seeds.

    ``others``: the same trainings in the other implementation.
    ``least``: the two classes of whose best image most networks are least sure; ``lowest_p``: the
    lowest probability of any of them.
    """
    if not groups:
        return {"n": 0}
    relu, lrelu = groups.values()
    best = [
        np.array([[rank[0] for rank in top3_scores(run)] for run in group])
        for group in (relu, lrelu)
    ]
    surer = (best[0] > best[1]).sum(axis=1)  # classes, by seed
    unsure = Counter(tuple(sorted(np.argsort(run)[:2].tolist())) for run in np.concatenate(best))
    least, least_runs = unsure.most_common(1)[0]
    return {
        "n": len(relu),
        "relu_surer": float(surer.mean()),
        "most": int(np.sum(surer > 5)),
        "networks": 2 * len(relu),
        "least": least,
        "least_runs": least_runs,
        "lowest_p": min(float(np.exp(np.min(top3_scores(run)))) for run in [*relu, *lrelu]),
        "both": by_chance(shared_images, relu, lrelu),
        "rounding": by_rounding(shared_images, groups, others),
    }


def curves(groups: Groups) -> Facts:
    """Return the loss curves of two networks over seeds, and their differences by epoch.

    ``lower_from``: the epoch from which LReLU's validation loss is the lower one to the end;
    ``higher``: whether LReLU's loss is the higher one in every epoch of training;
    ``rise``: by how much the validation loss ends above its lowest, in the worst run;
    ``settled``: the mean epoch from which the validation loss stays within 5 % of its lowest.
    """
    if not groups:
        return {"n": 0}
    splits = ("train", "validation")
    curves = {
        split: {
            name: np.array([getattr(kept(run, "history"), f"{split}_loss") for run in group])
            for name, group in groups.items()
        }
        for split in splits
    }
    gaps = {
        split: [
            mean_interval(epoch) for epoch in (curves[split]["LReLU"] - curves[split]["ReLU"]).T
        ]
        for split in splits
    }
    endings = {
        name: [ending(kept(run, "history")) for run in group] for name, group in groups.items()
    }
    settled = {name: np.array([e["settled"] for e in ends]) for name, ends in endings.items()}
    lower = 1 + max((e for e, gap in enumerate(gaps["validation"]) if gap.high >= 0), default=-1)
    accuracies = [[run.train_accuracy for run in group] for group in groups.values()]
    return curves | {
        "train_accuracy": mean_interval(np.subtract(accuracies[1], accuracies[0])),
        "n": gaps["train"][0].n,
        "gaps": gaps,
        "higher": {split: all(gap.low > 0 for gap in gaps[split][1:]) for split in splits},
        "settled": {name: float(epochs.mean()) for name, epochs in settled.items()},
        "settled_later": mean_interval(settled["LReLU"] - settled["ReLU"]),
        "rise": max(e["rise"] for ends in endings.values() for e in ends),
        "lower_from": lower if lower < len(gaps["validation"]) else None,
    }


def by_chance(
    compare: Callable[[StoredRun, StoredRun], float],
    relu: Sequence[StoredRun],
    lrelu: Sequence[StoredRun],
) -> Facts:
    """Compare networks of one seed with two activations, and of two seeds with one activation.

    ``one_seed``: the activation alone differs; ``same``: the seed alone, of which ``relu`` and
    ``lrelu`` are the two halves. ``beyond``: seed by seed, the first minus the mean of the second.
    """
    alike = [*combinations(relu, 2), *combinations(lrelu, 2)]
    return {
        "one_seed": mean_of(compare, zip(relu, lrelu, strict=True)),
        "same": mean_of(compare, alike),
        "relu": mean_of(compare, combinations(relu, 2)),
        "lrelu": mean_of(compare, combinations(lrelu, 2)),
        "beyond": mean_interval([beyond(compare, relu, lrelu, k) for k in range(len(relu))]),
    }


def by_rounding(
    compare: Callable[[StoredRun, StoredRun], float], groups: Groups, others: Groups
) -> Facts:
    """Compare networks of one seed and one activation whose implementations round differently.

    ``ReLU``, ``LReLU``: the means; ``beyond``: seed by seed, what the activation alone makes (as
    ``one_seed`` above) minus the mean of the two. Empty where the others do not have both.
    """
    if not others:
        return {}
    relu, relu_ = study.same_seeds(groups["ReLU"], others["ReLU"])
    lrelu, lrelu_ = study.same_seeds(groups["LReLU"], others["LReLU"])
    own = np.array([list(map(compare, relu, relu_)), list(map(compare, lrelu, lrelu_))])
    activation = np.array(list(map(compare, relu, lrelu)))
    return {
        "n": len(relu),
        "ReLU": float(own[0].mean()),
        "LReLU": float(own[1].mean()),
        "beyond": mean_interval(activation - own.mean(axis=0)),
    }


def beyond(
    compare: Callable[[StoredRun, StoredRun], float],
    relu: Sequence[StoredRun],
    lrelu: Sequence[StoredRun],
    k: int,
) -> float:
    """Return what the k-th seed's two networks compare to, minus each with the other seeds'."""
    pairs = [(g[k], other) for g in (relu, lrelu) for j, other in enumerate(g) if j != k]
    return compare(relu[k], lrelu[k]) - mean_of(compare, pairs)


def mean_of(compare: Callable[[Any, Any], float], pairs: Iterable[tuple[Any, Any]]) -> float:
    """Return the mean of a comparison over pairs of runs."""
    return float(np.mean([compare(a, b) for a, b in pairs]))


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
