"""Figures show the numbers that they are given."""

from pathlib import Path

import numpy as np
from made_up import dataset, result, study_file
from matplotlib.figure import Figure

from mnist_mlp import plots, study_plan, study_rows
from mnist_mlp.checks import Agreement

RELU, LRELU = result("ReLU", {0: 6, 10: 6}), result("LReLU", {0: 6}, alpha=0.1)


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for ax in figure.axes for t in ax.texts]


def test_confusion_writes_counts_rates_and_signed_differences() -> None:
    figure = plots.confusion(RELU, LRELU, "mnist")
    counts, _, rates, _ = figure.axes
    difference, errors = plots.confusion_difference(RELU, LRELU, "mnist").axes
    assert [t.get_text() for t in counts.texts[:10]] == ["18", "", "", "", "", "", "2", "", "", ""]
    assert rates.texts[0].get_text() == "90.0"
    assert [t.get_text() for t in difference.texts if t.get_text()] == ["+1", "-1"]
    assert "198 of 200" in counts.get_title()
    assert errors.containers[0].datavalues[0] == 2  # type: ignore[attr-defined]
    assert figure.get_suptitle().endswith("(mnist)")


def test_both_confusion_matrices_share_one_colour_scale() -> None:
    axes = plots.confusion(RELU, LRELU, "mnist").axes[:4]
    limits = {(m.norm.vmin, m.norm.vmax) for ax in axes for m in ax.collections}
    assert limits == {(0, 100)}


def test_top3_draws_sixty_images_with_probabilities_and_marks_the_shared() -> None:
    figure = plots.top3(RELU, LRELU, dataset().test.images, "mnist")
    drawn = [ax for ax in figure.axes if ax.images]
    assert len(drawn) == 60
    assert all("p = " in ax.get_xlabel() for ax in drawn)
    first = RELU.top3[0][0].index
    np.testing.assert_array_equal(
        np.asarray(drawn[0].images[0].get_array()).ravel(), dataset().test.images[first]
    )
    both = sum("both" in ax.get_xlabel() for ax in drawn)
    shared = sum(
        len({s.index for s in a} & {s.index for s in b})
        for a, b in zip(RELU.top3, LRELU.top3, strict=True)
    )
    assert both == 2 * shared


def test_learning_curves_hold_the_history_on_shared_axes() -> None:
    figure = plots.learning_curves(RELU, LRELU, "mnist")
    loss, zoom, accuracy, difference = figure.axes
    assert [line.get_label() for line in loss.lines] == [
        "ReLU train", "ReLU validation", "LReLU(0.1) train", "LReLU(0.1) validation",
    ]  # fmt: skip
    assert list(loss.lines[1].get_ydata()) == RELU.run.history.validation_loss  # type: ignore[arg-type]
    assert list(loss.lines[0].get_xdata()) == [0, 1, 2, 3]  # type: ignore[arg-type]
    assert list(zoom.lines[1].get_ydata()) == RELU.run.history.validation_loss[1:]  # type: ignore[arg-type]
    assert accuracy.lines[0].get_ydata()[-1] == 99  # type: ignore[index]
    assert [line.get_label() for line in difference.lines[:2]] == ["train", "validation"]
    assert list(difference.lines[0].get_ydata()) == [0, 0, 0]  # type: ignore[arg-type]
    assert difference.get_title() == "Loss of LReLU(0.1) minus ReLU"


def test_agreement_draws_every_step() -> None:
    curve = Agreement(loss=[0.0, 1e-16], weights=[1e-17, 1e-16])
    figure = plots.agreement({"ReLU, float64": curve})
    assert list(figure.axes[0].lines[0].get_ydata()) == [1e-17, 1e-16]  # type: ignore[arg-type]


def test_study_figures_draw_every_seed(tmp_path: Path) -> None:
    rows = study_rows.read_rows(study_file(tmp_path / "study.csv", lambda task: {}))
    test = study_rows.by_alpha(rows, "numpy", "test_accuracy")
    figure = plots.seed_study(test, study_rows.paired(test))
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert len(dots) == 4
    np.testing.assert_allclose(dots[0].get_ydata(), 100 * test["ReLU"])  # type: ignore[arg-type]
    ladder = plots.ladder(study_rows.by_recipe(rows, study_plan.LADDER, "validation_accuracy"))
    assert [t.get_text() for t in ladder.axes[0].get_xticklabels()] == list(study_plan.LADDER)
    dead = plots.dead_units(study_rows.dead_unit_curves(rows, "numpy"))
    values = np.asarray(dead.axes[1].lines[0].get_ydata(), float)
    np.testing.assert_allclose(values, 0.1)  # 0.001 in percent
