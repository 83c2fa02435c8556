"""The numbers about the runs of a notebook, each against a small case worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from made_up import dataset, result

from mnist_mlp import facts
from mnist_mlp.checks import Agreement, GradientError
from mnist_mlp.evaluation import Result, ScoredImage
from mnist_mlp.recipe import Recipe

# Image i shows the digit i % 10.
FIVE = {0: 6, 10: 6, 24: 9, 37: 2, 149: 4}  # true classes 0, 0, 4, 7, 9


def surest(shortfalls: dict[int, float], own: int = 0) -> Result:
    """Return a network sure of its 30 best images but {place: 1 - p}; the last are its own."""
    best = [
        ScoredImage(i + 100 * (i >= 30 - own), i // 3, math.log1p(-shortfalls.get(i, 0.0)))
        for i in range(30)
    ]
    return replace(result({}), top3=[best[i : i + 3] for i in range(0, 30, 3)])


def test_confusions_are_compared_image_by_image_and_class_by_class() -> None:
    found = facts.a_confusion(result(FIVE), result({0: 6, 1: 2}))
    assert found["ahead"] == 3  # five errors against two
    assert found["hardest"]["ReLU"] == {"classes": [0], "errors": 2}
    assert found["hardest"]["LReLU"] == {"classes": [0, 1], "errors": 1}
    test = found["test"]
    assert (test.only_relu, test.only_lrelu) == (1, 4)
    assert test.p_value == pytest.approx(2 * (1 + 5) / 2**5)


def test_one_accuracy_has_the_margin_of_the_normal_approximation() -> None:
    found = facts.training(result(FIVE), result({0: 6}))
    assert found["margin"] == pytest.approx(1.96 * math.sqrt(0.975 * 0.025 / 200))  # the wider one
    assert found["gap"] == pytest.approx(0.02)


def test_best_images_are_compared_place_by_place() -> None:
    relu, lrelu = surest({4: 0.1, 6: 0.2}), surest({4: 0.3}, own=4)
    found = facts.b_top3(relu, lrelu)
    assert found["places"] == 60
    assert found["lowest"].shortfall == pytest.approx(0.3)
    assert found["largest_gap"] == pytest.approx(0.2)
    # First places are 0, 3, 6, ...: at place 6 LReLU is surer, elsewhere they are equal.
    assert (found["relu_surer"], found["lrelu_surer"]) == (0, 1)
    # Places 26 to 29 hold other images: the last of class 8, and class 9 as a whole.
    assert found["shared"] == 26
    assert found["others"] == []


def test_an_image_of_another_class_among_the_best_is_named() -> None:
    strange = surest({})
    strange.top3[6][1] = ScoredImage(40, 0, -0.5)
    found = facts.b_top3(surest({}), strange)
    assert found["others"] == [("LReLU", 6, strange.top3[6][1])]


def test_saturated_images_are_those_whose_float32_probability_is_one() -> None:
    logits = np.zeros((4, 10), np.float32)
    logits[:, 0] = [0, 10, 25, 200]  # the odds against: 9, 4e-4, 1e-10, 1e-86; 1 - 6e-8 is below 1
    several = result({})
    assert facts.saturated(replace(several, run=replace(several.run, logits=logits))) == 2


def test_curves_that_rise_again_are_overfitted() -> None:
    relu, lrelu = result({}), result({}, alpha=0.1)
    found = facts.c_curves(relu, lrelu)
    assert found["epochs"] == 3
    assert found["overfitted"] == ["ReLU", "LReLU"]  # 0.12 is 20 % above 0.1
    assert found["endings"]["ReLU"]["rise"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("loss", "best", "settled"),
    [
        ([2.0, 1.0, 1.0], 1, 1),
        ([2.0, 1.0, 1.06, 1.0], 1, 3),
        ([2.0, 1.0, 1.2], 1, 3),  # never: one more than the last epoch
        ([1.04, 1.0], 1, 0),
        ([1.0], 0, 0),
    ],
)
def test_a_loss_has_settled_when_it_never_leaves_the_five_percent_again(
    loss: list[float], best: int, settled: int
) -> None:
    history = result({}).run.history
    history.validation_loss[:] = loss
    found = facts.ending(history)
    assert (found["best"], found["lowest"], found["settled"]) == (best, 1.0, settled)


def test_two_implementations_agree_in_float64_and_part_in_float32() -> None:
    exact = Agreement([1e-16, 3e-12], [1e-15, 2e-11])
    steps = {
        "ReLU, float64": exact,
        "LReLU(0.1), float64": Agreement([0.0, 0.0], [0.0, 0.0]),
        "ReLU, float32": Agreement([1e-8, 1e-3], [1e-7, 1e-2]),
        "LReLU(0.1), float32": Agreement([1e-8, 1e-8], [1e-7, 2e-7]),
    }
    found = facts.agreement(steps, Recipe(batch_size=50))
    assert (found["steps"], found["loss"], found["weights"]) == (2, 3e-12, 2e-11)
    assert found["passed"]
    assert found["parted"]
    assert found["singles"] == {
        "ReLU": {"parted_at": 2, "last": 1e-2},
        "LReLU(0.1)": {"parted_at": 0, "last": 2e-7},
    }
    assert found["inputs"] == 2 * 50 * (512 + 256)


@pytest.mark.parametrize("wrong", [1e-3, math.nan])
def test_another_or_an_undefined_float64_result_does_not_pass(wrong: float) -> None:
    same, other = Agreement([1e-16] * 2, [1e-16] * 2), Agreement([1e-16, wrong], [1e-16, wrong])
    steps = {"ReLU, float64": same, "LReLU(0.1), float64": other, "ReLU, float32": other}
    found = facts.agreement(steps, Recipe())
    assert not found["passed"]
    assert found["singles"]["ReLU"]["parted_at"] == 2


def test_gradient_errors_stand_by_tensor_and_activation() -> None:
    errors = {
        label: [GradientError(tensor, 40, 0, error * scale) for tensor, error in TENSORS]
        for label, scale in (("ReLU", 1.0), ("tanh", 10.0))
    }
    found = facts.gradient_check(errors)
    assert found["labels"] == ["ReLU", "tanh"]
    assert [[e.relative_error for e in row] for row in found["rows"]] == [
        [1e-9, 1e-8],
        [3e-9, 3e-8],
    ]
    assert found["worst"] == 3e-8


TENSORS = (("W1", 1e-9), ("x", 3e-9))


def test_gradient_flow_is_relative_to_the_last_layer_and_its_prediction_that_of_the_text() -> None:
    sigmoid = Recipe(activation="sigmoid", hidden=(32,) * 3, init_gain=2.0, lr=1e-12)
    rectifier = replace(sigmoid, activation="relu", init_gain=0.25)
    split = dataset().train
    found = facts.gradient_flow({"s": sigmoid}, {"r": rectifier}, split, range(2))
    assert (found["seeds"], found["images"]) == (2, 200)
    deep, shallow = found["deep"]["s"], found["shallow"]["r"]
    assert deep["predicted"] == pytest.approx([1 / 4, 1 / 2, 1])  # 2 * 1/4 a layer
    assert shallow["predicted"] == pytest.approx([1 / 16, 1 / 4, 1])
    for flow in (deep, shallow):
        assert flow["start"][-1] == 1
        assert flow["after"] == pytest.approx(flow["start"], rel=1e-4)  # nothing was learned
        assert flow["start"] == pytest.approx(flow["predicted"], rel=0.5)  # width 32, two draws


def test_the_prediction_takes_the_widths_and_the_variance_of_the_recipe() -> None:
    """From 512 to 256 units: He's sqrt(1/2), whatever the slope; Xavier's sqrt(2/3) times f'."""
    wide = Recipe().hidden
    assert wide == (512, 256)
    for recipe, expected in (
        (Recipe(), math.sqrt(1 / 2)),
        (Recipe(alpha=0.3), math.sqrt(1 / 2)),
        (Recipe(activation="tanh"), math.sqrt(2 / 3)),
        (Recipe(activation="sigmoid"), math.sqrt(2 / 3) / 4),
    ):
        assert facts.predicted_flow(recipe) == pytest.approx([expected, 1])


def test_first_layers_show_eight_units_and_the_dead_and_what_was_learned_alike() -> None:
    rng = np.random.default_rng(0)
    images = dataset().train.images
    before, learned = rng.standard_normal((2, 784, 20))
    alike = before + learned, np.zeros(20), before
    dead = -np.abs(before) - 1
    dead[:, :15] = before[:, :15] + 2 * learned[:, :15]
    found = facts.first_layer({"ReLU": alike, "LReLU": (dead, np.zeros(20), before)}, images)
    shown = [text for _, text in found["units"]["LReLU"]]
    assert shown[:8] == [f"#{k}" for k in range(8)]
    assert shown[8:] == ["#15 off", "#16 off"]
    assert found["dead"]["LReLU"] == 5
    assert found["likeness"] > 0.7
    assert abs(found["control"]) < 0.1
    untrained = before, np.zeros(20), before
    assert facts.first_layer({"a": untrained, "b": alike}, images)["likeness"] is None


def test_only_networks_that_read_most_images_are_compared() -> None:
    lost = result({i: (i + 1) % 10 for i in range(120)})
    assert facts.a_confusion(result({}), result(FIVE))["learned"]
    assert not facts.a_confusion(result({}), lost)["learned"]


def test_at_most_so_many_images_of_each_network_are_shown() -> None:
    many = {i: (i + 1) % 10 for i in range(30)}
    cases = facts.a_confusion(result(many), result({199: 0}, alpha=0.1))["cases"]
    assert [c.reader for c in cases] == ["ReLU"] + ["LReLU(0.1)"] * facts.SHOWN


def test_the_loss_of_errors_is_that_of_the_misread_images_alone() -> None:
    relu = result({0: 6, 11: 2})
    found = facts.calibration(relu, result({}, alpha=0.1))
    assert list(found["dearest"]) == ["ReLU"]  # the other misreads nothing
    z = relu.run.logits[[0, 11]].astype(float)
    losses = np.log(np.exp(z).sum(axis=1)) - z[[0, 1], [0, 1]]
    assert found["dearest"]["ReLU"] == pytest.approx(losses.mean())
    assert list(found["bins"]) == ["ReLU", "LReLU(0.1)"]
