"""Figures show the numbers that they are given, ReLU in blue and LReLU in vermilion."""

import importlib
from collections import Counter
from typing import Any

import matplotlib
import numpy as np
import pytest
from made_up import result, study_runs
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from mnist_mlp import experiments, findings, over_seeds, plots, study
from mnist_mlp.checks import Agreement
from mnist_mlp.evaluation import Interval, reliability
from mnist_mlp.plots import BLUE, VERMILION
from mnist_mlp.recipe import Recipe

RELU, LRELU = result({0: 6, 10: 6}), result({0: 6}, alpha=0.1)
CLOSE = Agreement(loss=[0.0, 1e-16], weights=[1e-17, 1e-16])
AGREEMENTS = {
    f"{label}, {kind}": CLOSE for kind in ("float64", "float32") for label in ("ReLU", "LReLU(0.1)")
}
FLOW = {"start": np.array([0.5, 1.0]), "after": np.array([0.2, 1.0]), "predicted": np.ones(2)}
FLOWS = dict.fromkeys(("ReLU", "LReLU(0.1)", "ReLU, gain 1/4"), FLOW)
PACE = {
    label: np.array([[0.1, 0.9, 0.98], [0.1, 0.92, 0.97]])
    for label in ("ReLU", "LReLU(0.1)", "tanh", "sigmoid", "sigmoid, lr 0.2", "sigmoid, lr 0.8")
}


def y(line: Any) -> list[float]:
    return [float(value) for value in line.get_ydata()]


def test_confusion_writes_counts_and_accuracies_and_colours_the_errors_alone() -> None:
    figure = plots.confusion_matrices(RELU, LRELU, "mnist")
    relu, lrelu = figure.axes
    written = [t.get_text() for t in relu.texts]
    assert written[:9] == ["", "", "", "", "", "2", "", "", ""]  # class 0 without its diagonal
    assert written[90:94] == ["18", "90.0%", "20", "100.0%"]  # that, and the class's accuracy
    assert "198 of 200" in relu.get_title()
    assert figure.get_suptitle().endswith("(mnist)")
    (mesh,), (other,) = relu.collections, lrelu.collections
    assert mesh.get_array().mask.reshape(10, 10).diagonal().all()  # type: ignore[union-attr]
    assert (mesh.norm.vmin, mesh.norm.vmax) == (other.norm.vmin, other.norm.vmax)  # one scale


def test_the_difference_is_coloured_by_who_is_better() -> None:
    """LReLU reads an image more: its diagonal cell and the error it avoids are both its colour."""
    seeds = [Interval(0.5, 1, 30, -0.5, 1.5)] * 10
    difference, errors = plots.confusion_difference(RELU, LRELU, "mnist", seeds).axes
    assert [t.get_text() for t in difference.texts if t.get_text()] == ["+1", "-1"]
    values = np.asarray(difference.collections[0].get_array()).reshape(10, 10)
    assert (values[0, 0], values[0, 6]) == (1, 1)
    assert plots.WHO_IS_BETTER(1.0) == to_rgba(VERMILION)
    bars: Any
    means: Any
    bars, means = errors.containers
    assert bars.datavalues[0] == -1
    assert bars.patches[0].get_facecolor()[:3] == to_rgba(VERMILION)[:3]
    assert y(means.lines[0]) == [0.5] * 10
    assert len(plots.confusion_difference(LRELU, RELU, "mnist").axes[1].containers) == 1


def test_learning_curves_hold_the_history_and_below_it_the_stored_seeds() -> None:
    pair = {"ReLU": Recipe(), "LReLU": Recipe(alpha=0.1)}
    stored = over_seeds.curves(over_seeds.repeats(study_runs(), "numpy", "mnist", pair))
    loss, zoom, means, gaps = plots.learning_curves(RELU, LRELU, "mnist", stored).axes
    labels = [f"{r} {s}" for r in ("ReLU", "LReLU(0.1)") for s in ("train", "validation")]
    history = RELU.run.history
    assert [line.get_label() for line in loss.lines] == labels
    assert [line.get_color() for line in loss.lines] == [BLUE, BLUE, VERMILION, VERMILION]
    assert y(loss.lines[1]) == history.validation_loss
    assert y(zoom.lines[1]) == history.validation_loss[1:]
    assert y(means.lines[0]) == pytest.approx(stored["train"]["ReLU"].mean(axis=0)[1:])
    assert y(gaps.lines[1]) == [gap.mean for gap in stored["gaps"]["validation"][1:]]
    assert "30 stored seeds" in means.get_title()


@pytest.mark.parametrize("epochs", [0, 1])
@pytest.mark.filterwarnings("error")
def test_curves_of_no_or_one_epoch_can_be_drawn_without_stored_seeds(epochs: int) -> None:
    short = result({})
    for curve in vars(short.run.history).values():
        del curve[epochs + 1 :]
    figure = plots.learning_curves(short, short, "mnist", {"n": 0})
    figure.draw_without_rendering()
    assert len(figure.axes) == 2


def test_agreement_draws_every_step_and_its_colours_are_the_activations() -> None:
    loss, weights = plots.step_agreement(AGREEMENTS).axes
    assert y(loss.lines[0]) == [1e-17, 1e-16]
    assert y(weights.lines[0]) == CLOSE.weights
    assert [line.get_color() for line in loss.lines[:4]] == [BLUE, VERMILION] * 2


def test_gradient_flow_draws_both_moments_and_the_prediction_by_layer() -> None:
    before, after = plots.gradient_flow(FLOWS).axes
    assert (y(before.lines[0]), y(before.lines[1])) == ([0.5, 1], [1, 1])
    assert y(after.lines[0]) == [0.2, 1]
    colours = {line.get_label(): line.get_color() for line in after.lines}
    assert colours == {"ReLU": BLUE, "ReLU, gain 1/4": BLUE, "LReLU(0.1)": VERMILION}
    assert before.get_ylim() == after.get_ylim()


def test_learning_speed_draws_means_and_goal() -> None:
    (ax,) = plots.learning_speed(PACE, 0.97).axes
    assert y(ax.lines[0]) == pytest.approx([91, 97.5])  # from epoch 1
    assert y(ax.lines[-1]) == [97, 97]
    looks = {(line.get_color(), str(line.get_linestyle())) for line in ax.lines[:-1]}
    assert len(looks) == len(PACE)  # every curve can be told from the others


def test_study_figures_draw_every_seed_and_show_which_were_seen_first() -> None:
    compared = findings.comparison(study_runs(), "numpy")
    gaps, losses = compared["differences"], compared["loss_differences"]
    for ax, drawn in zip(plots.seeds(gaps, losses, looked=10).axes, (gaps, losses), strict=True):
        scale = 100 if drawn is gaps else 1  # in points
        new, seen = [line for line in ax.lines if line.get_marker() == "o"][2:4]
        assert y(new) == pytest.approx(scale * drawn["LReLU(0.1)"][10:])
        assert y(seen) == pytest.approx(scale * drawn["LReLU(0.1)"][:10])
        assert (new.get_color(), seen.get_markerfacecolor()) == (VERMILION, "none")
    steps = experiments.recipe_search(study_runs())["gains"]
    (ladder,) = plots.recipe_steps(steps).axes
    assert [t.get_text() for t in ladder.get_xticklabels()] == list(study.LADDER)[1:]
    assert y(ladder.lines[0]) == pytest.approx(100 * steps["+ momentum"])


def test_error_bars_are_the_interval_and_not_the_standard_deviation() -> None:
    ax = Figure().subplots()
    plots.dots(ax, {"A": np.array([97.8, 98, 98.2])})
    (bars,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    low, high = bars.get_segments()[0][:, 1]
    half = 0.2 * 4.302653 / np.sqrt(3)  # SD 0.2 points; t of 2 degrees of freedom
    assert (low, high) == pytest.approx((98 - half, 98 + half), rel=1e-6)


def test_every_stressed_run_is_drawn_and_a_diverged_one_is_a_cross() -> None:
    def diverged(task: study.Task) -> dict[str, int]:
        return {"diverged_after": 1} if task.recipe.lr == 0.2 and task.recipe.alpha else {}

    settings = experiments.stress(study_runs(diverged))["settings"]
    (ax,) = plots.stress(settings, 0.11).axes
    drawn = Counter(line.get_marker() for line in ax.lines for _ in y(line))
    assert drawn == {"o": 25, "^": 20, "s": 20, "x": 5, "+": 5, "None": 2}  # and the largest class
    assert {line.get_color() for line in ax.lines if line.get_marker() == "o"} == {BLUE}


@pytest.mark.filterwarnings("error")
def test_calibration_draws_what_is_said_against_what_happens() -> None:
    bins = {r.label: reliability(r.run.logits, r.labels) for r in (RELU, LRELU)}
    gaps = {"loss": np.array([-0.002, -0.001]), "ECE": np.array([-0.0004, -0.0006])}
    said, loss, ece = plots.calibration(bins, gaps).axes
    points = [container.lines[0] for container in said.containers]  # type: ignore[attr-defined]
    assert y(points[0]) == [b.wrong for b in bins["ReLU"] if b.wrong]
    assert [point.get_color() for point in points] == [BLUE, VERMILION]
    assert y(loss.lines[0]) == [-0.002, -0.001]
    assert y(ece.lines[0]) == pytest.approx([-0.04, -0.06])  # in points


def test_a_readers_matplotlibrc_changes_no_figure() -> None:
    theirs: Any = {"font.family": "Malgun Gothic", "text.usetex": True, "axes.facecolor": "black"}
    ours = {name: matplotlib.rcParams[name] for name in theirs}
    with matplotlib.rc_context(theirs):
        importlib.reload(plots)
        assert {name: matplotlib.rcParams[name] for name in theirs} == ours
