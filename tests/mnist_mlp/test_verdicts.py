"""The facts behind the verdicts on the earlier report, against hand-made studies."""

import math
from dataclasses import replace
from typing import Any

import pytest
from made_up import study_runs

from mnist_mlp import verdicts
from mnist_mlp.run import History
from mnist_mlp.study import CHOSEN, Task


def test_claims_compare_classes_best_images_and_the_time_of_settling() -> None:
    def measure(task: Task) -> dict[str, Any]:
        if task.recipe not in (CHOSEN, replace(CHOSEN, alpha=0.3)):
            return {}
        lrelu, odd = task.recipe.alpha > 0, task.seed % 2
        # LReLU misreads one or two more 4s in every seed, one more 5 in odd and one 6 less in
        # even ones.
        wrong = [4] * (lrelu * (1 + odd)) + [5] * (lrelu and odd) + [6] * (not lrelu and not odd)
        best = [(task.seed, math.log(0.9)), (20, 0.0), (21 + lrelu, 0.0)]
        wobble = (odd - 0.5) / 10  # the same in both: the differences do not see it
        losses = [1.5, 1.75 + wobble, 1.0] if lrelu else [2.0, 1.5 + wobble, 1.2]
        losses[2] += 2 * wobble
        losses += [1.0 + 2 * wobble] * 18
        train = [1.0, 1.0 + 0.5 * lrelu, *[0.1] * 19]
        return {
            "validation_accuracy": 0.98 - 0.001 * lrelu,
            "errors": {i: (true, 0) for i, true in enumerate(wrong)},
            "top3": dict.fromkeys(range(10), best),
            "history": History(train, losses, validation_accuracy=[0.1, 0.98]),
        }

    found = verdicts.claims(study_runs(measure), "torch", "LReLU(0.3)")
    assert (found["n"], found["label"]) == (10, "LReLU(0.3)")
    assert (found["relu_classes"], found["lrelu_classes"]) == (2, 1)
    assert found["shown_classes"] == [4]
    assert (found["gap"], found["within"]) == (0, 10)
    assert found["surer"]["lowest_p"] == pytest.approx(0.9)
    # Of three images: the seed's own and 20, or 20 and 21 (22).
    assert found["shared"].pop("beyond").mean == 0
    assert found["shared"] == {"one_seed": 20, "same": 20, "relu": 20, "lrelu": 20}
    assert found["settled"] == {"ReLU": 3, "LReLU": 2}
    assert found["settled_later"].mean == -1
    gaps = found["loss_gaps"]
    means = [gap.mean for gap in gaps["validation"][:3]]
    assert means == pytest.approx([-0.5, 0.25, -0.2])
    assert gaps["train"][1].mean == pytest.approx(0.5)
    assert found["validation"].mean == pytest.approx(-0.001)
    assert found["widest"] == 4
    assert found["class_gaps"][4].mean == pytest.approx(1.5)
