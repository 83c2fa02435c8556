"""Figures show the numbers that they are given, ReLU in blue and LReLU in vermilion."""

from typing import Any

import numpy as np
import pytest
from made_up import dataset, result, study_runs
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from mnist_mlp import findings, plots, study
from mnist_mlp.checks import Agreement
from mnist_mlp.plots import BLUE, VERMILION

RELU, LRELU = result({0: 6, 10: 6}), result({0: 6}, alpha=0.1)
CLOSE = Agreement(loss=[0.0, 1e-16], weights=[1e-17, 1e-16])
AGREEMENTS = {
    f"{label}, {kind}": CLOSE for kind in ("float64", "float32") for label in ("ReLU", "LReLU(0.1)")
}
FLOW = {"start": np.array([0.5, 1.0]), "after": np.array([0.2, 1.0]), "predicted": np.ones(2)}
FLOWS = dict.fromkeys(("ReLU", "LReLU(0.1)", "sigmoid", "ReLU, gain 1/4"), FLOW)
COMPARED = findings.comparison(study_runs(), "numpy")
PACE = {
    label: np.array([[0.1, 0.9, 0.98], [0.1, 0.92, 0.97]])
    for label in ("ReLU", "LReLU(0.1)", "tanh", "sigmoid", "sigmoid, lr 0.2", "sigmoid, lr 0.8")
}


def y(line: Any) -> list[float]:
    return [float(value) for value in line.get_ydata()]


def test_confusion_writes_counts_rates_and_signed_differences() -> None:
    figure = plots.confusion_matrices(RELU, LRELU, "mnist")
    counts, _, rates, _ = figure.axes
    difference, errors = plots.confusion_difference(RELU, LRELU, "mnist").axes
    assert [t.get_text() for t in counts.texts[:10]] == ["18", "", "", "", "", "", "2", "", "", ""]
    assert rates.texts[0].get_text() == "90.0"
    assert [t.get_text() for t in difference.texts if t.get_text()] == ["+1", "-1"]
    assert "198 of 200" in counts.get_title()
    assert errors.containers[0].datavalues[0] == 2  # type: ignore[attr-defined]
    assert figure.get_suptitle().endswith("(mnist)")
    bars = [container.patches[0].get_facecolor() for container in errors.containers]  # type: ignore[attr-defined]
    assert bars == [to_rgba(colour) for colour in (BLUE, VERMILION)]


def test_both_confusion_matrices_share_one_colour_scale() -> None:
    axes = plots.confusion_matrices(RELU, LRELU, "mnist").axes
    assert len(axes) == 4
    limits = {(m.norm.vmin, m.norm.vmax) for ax in axes for m in ax.collections}
    assert limits == {(0, 100)}


def test_top3_draws_sixty_images_with_probabilities_and_marks_the_shared() -> None:
    figure = plots.top3_images(RELU, LRELU, dataset().test.images, "mnist")
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(drawn) == 60
    assert all("p = " in ax.get_xlabel() for ax in drawn)
    best = RELU.top3[0][0].index
    shown = np.asarray(drawn[0].images[0].get_array()).ravel()
    np.testing.assert_array_equal(shown, dataset().test.images[best])
    both = sum("both" in ax.get_xlabel() for ax in drawn)
    pairs = zip(RELU.top3, LRELU.top3, strict=True)
    assert both == 2 * sum(len({s.index for s in a} & {s.index for s in b}) for a, b in pairs)


def test_learning_curves_hold_the_history_on_shared_axes() -> None:
    loss, zoom, accuracy, difference = plots.learning_curves(RELU, LRELU, "mnist").axes
    labels = [f"{r} {s}" for r in ("ReLU", "LReLU(0.1)") for s in ("train", "validation")]
    history = RELU.run.history
    assert [line.get_label() for line in loss.lines] == labels
    assert [line.get_color() for line in loss.lines] == [BLUE, BLUE, VERMILION, VERMILION]
    assert y(loss.lines[1]) == history.validation_loss
    assert list(loss.lines[0].get_xdata()) == [0, 1, 2, 3]  # type: ignore[arg-type]
    assert y(zoom.lines[1]) == history.validation_loss[1:]
    assert y(accuracy.lines[0])[-1] == 99
    assert [line.get_label() for line in difference.lines[:2]] == ["train", "validation"]
    assert y(difference.lines[0]) == [0, 0, 0]
    assert difference.get_title() == "Loss of LReLU(0.1) minus ReLU"


@pytest.mark.parametrize("epochs", [0, 1])
@pytest.mark.filterwarnings("error")
def test_curves_of_no_or_one_epoch_can_be_drawn(epochs: int) -> None:
    short = result({})
    for curve in vars(short.run.history).values():
        del curve[epochs + 1 :]
    plots.learning_curves(short, short, "mnist").draw_without_rendering()


def test_agreement_draws_every_step_and_its_colours_are_the_activations() -> None:
    loss, weights = plots.step_agreement(AGREEMENTS).axes
    assert y(loss.lines[0]) == [1e-17, 1e-16]
    assert y(weights.lines[0]) == CLOSE.weights
    assert [line.get_color() for line in loss.lines[:4]] == [BLUE, VERMILION] * 2


def test_gradient_flow_draws_both_moments_and_the_prediction_by_layer() -> None:
    before, after = plots.gradient_flow(FLOWS).axes
    assert (y(before.lines[0]), y(before.lines[1])) == ([0.5, 1], [1, 1])
    assert y(after.lines[0]) == [0.2, 1]
    assert list(after.lines[0].get_xdata()) == [1, 2]  # type: ignore[arg-type]
    colours = {line.get_label(): line.get_color() for line in after.lines}
    assert colours["ReLU"] == colours["ReLU, gain 1/4"] == BLUE
    assert colours["LReLU(0.1)"] == VERMILION


def test_learning_speed_draws_mean_range_and_goal() -> None:
    (ax,) = plots.learning_speed(PACE, 0.97).axes
    assert y(ax.lines[0]) == pytest.approx([91, 97.5])  # from epoch 1
    edges = ax.collections[0].get_paths()[0].vertices
    assert {(1, 90), (1, 92)} <= {(round(x, 6), round(v, 6)) for x, v in np.asarray(edges)}
    assert y(ax.lines[-1]) == [97, 97]
    looks = {(line.get_color(), str(line.get_linestyle())) for line in ax.lines[:-1]}
    assert len(looks) == len(PACE)  # every curve can be told from the others


def test_study_figures_draw_every_seed_in_the_activations_colour() -> None:
    accuracy, difference = plots.seeds(COMPARED["test"], COMPARED["differences"]).axes
    dots = [line for line in accuracy.lines if line.get_marker() == "o"]
    assert y(dots[0]) == pytest.approx(100 * COMPARED["test"]["ReLU"])
    assert [line.get_color() for line in dots] == [BLUE, VERMILION, VERMILION, VERMILION]
    paired = [line for line in difference.lines if line.get_marker() == "o"]
    assert y(paired[1]) == pytest.approx(100 * COMPARED["differences"]["LReLU(0.1)"])
    steps = findings.recipe_search(study_runs())["steps"]
    (ladder,) = plots.recipe_steps(steps).axes
    assert [t.get_text() for t in ladder.get_xticklabels()] == list(study.LADDER)


def test_error_bars_are_the_interval_and_not_the_standard_deviation() -> None:
    ax = Figure().subplots()
    plots.dots(ax, {"A": np.array([0.978, 0.98, 0.982])}, "", "")
    (bars,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    low, high = bars.get_segments()[0][:, 1]
    half = 0.2 * 4.302653 / np.sqrt(3)  # SD 0.2 points; t of 2 degrees of freedom
    assert (low, high) == pytest.approx((98 - half, 98 + half), rel=1e-6)


def test_dead_units_are_drawn_in_percent_by_layer() -> None:
    first, second = plots.dead_fractions(COMPARED["dead"]).axes
    assert y(second.lines[0]) == pytest.approx([0.1] * 21)  # 0.001
    assert [line.get_color() for line in first.lines] == [BLUE] + [VERMILION] * 3
