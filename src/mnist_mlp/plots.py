"""One function a figure: results in, Figure out. Nothing here trains or reads files.

ReLU is blue, LReLU is vermilion (Okabe and Ito's colours for all kinds of colour vision); dashes
and markers say the same in greyscale. Text in English: Colab has no Korean font.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mnist_mlp.checks import LOSS_LIMIT, WEIGHT_LIMIT, Agreement
from mnist_mlp.evaluation import Bin, Interval, Result, mean_interval

BLUE, VERMILION, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#555555"
COLOURS = (BLUE, VERMILION)
WHO_IS_BETTER = LinearSegmentedColormap.from_list("ReLU, nobody, LReLU", [BLUE, "white", VERMILION])
STYLES: dict[str, dict[str, Any]] = {
    "ReLU": {"color": BLUE, "ls": "-"},
    "LReLU(0.01)": {"color": VERMILION, "ls": ":"},
    "LReLU(0.1)": {"color": VERMILION, "ls": "--"},
    "LReLU(0.3)": {"color": VERMILION, "ls": "-."},
    "tanh": {"color": GREEN, "ls": (0, (5, 1))},
    "sigmoid": {"color": PURPLE, "ls": (0, (1, 1))},
}
HEATMAP: dict[str, Any] = {
    "annot_kws": {"size": 9},
    "fmt": "",
    "cbar": False,
    "linewidths": 0.5,
    "square": True,
    # label_classes writes them: to fit each, seaborn would draw the figure and keep its 7 MB.
    "xticklabels": False,
    "yticklabels": False,
}
# A reader's matplotlibrc may ask for a font or for TeX that is not there, or for another style.
matplotlib.rcdefaults()
matplotlib.rc("axes.spines", top=False, right=False)


def style(label: str) -> dict[str, Any]:
    """Return colour and dashes of an activation, whatever stands behind its name and slope."""
    known = label if label in STYLES else label.split(",")[0]
    return STYLES.get(known, {"color": VERMILION, "ls": "--"})


def new_figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, NDArray[Any]]:
    """Return a figure, kept out of pyplot's list, and its axes as a (rows, columns) array."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def by_epoch(ax: Axes, title: str, ylabel: str) -> None:
    """Label axes whose x axis counts epochs."""
    ax.set(title=title, xlabel="Epoch", ylabel=ylabel)
    ax.locator_params(axis="x", integer=True)
    ax.grid(alpha=0.3)


def activations(alpha: float) -> Figure:
    """Draw the four activations and their derivatives."""
    x = np.linspace(-5, 5, 1001)
    sigmoid, tanh = 1 / (1 + np.exp(-x)), np.tanh(x)
    curves = {
        "ReLU": (np.maximum(x, 0), np.where(x > 0, 1.0, 0.0)),
        f"LReLU({alpha:g})": (np.where(x > 0, x, alpha * x), np.where(x > 0, 1.0, alpha)),
        "tanh": (tanh, 1 - tanh**2),
        "sigmoid": (sigmoid, sigmoid * (1 - sigmoid)),
    }
    figure, axes = new_figure(1, 2, (9.6, 3.4))
    for label, pair in curves.items():
        for ax, y in zip(axes[0], pair, strict=True):
            ax.plot(x, y, label=label, **style(label))
    axes[0, 0].set(title="Activation", xlabel="x", ylabel="f(x)", ylim=(-1.6, 3))
    axes[0, 1].set(title="Derivative", xlabel="x", ylabel="f'(x)", ylim=(-0.05, 1.1))
    axes[0, 0].legend(frameon=False)
    return figure


def gradient_flow(flows: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw dL/dz by hidden layer relative to the last one, before and after an epoch.

    ``flows[label]`` has ``start``, ``after`` and ``predicted``, arrays over the hidden layers.
    """
    figure, axes = new_figure(1, 2, (11, 4.2))
    for label, flow in flows.items():
        layers = np.arange(1, len(flow["start"]) + 1)
        marker = "s" if "gain" in label else "^" if label.startswith("LReLU") else "o"
        markers = {"marker": marker, "ms": 5, "alpha": 0.5 if "gain" in label else 1}
        start, after = axes[0]
        start.plot(layers, flow["start"], **style(label) | markers | {"ls": ""})
        start.plot(layers, flow["predicted"], lw=1, color=GREY, zorder=1)
        after.plot(layers, flow["after"], label=label, **style(label) | markers)
    titles = ("at the start (grey: predicted)", "after one epoch")
    for ax, when in zip(axes[0], titles, strict=True):
        ax.set(title=f"Gradient by layer, {when}", yscale="log", xlabel="Hidden layer")
        ax.set_ylabel("RMS of dL/dz, last layer = 1")
        ax.grid(alpha=0.3)
    lows, highs = zip(*(ax.get_ylim() for ax in axes[0]), strict=True)
    for ax in axes[0]:
        ax.set_ylim(min(lows), max(highs))
    axes[0, 1].legend(frameon=False, fontsize=9)
    return figure


def confusion_matrices(relu: Result, lrelu: Result, dataset: str) -> Figure:
    """Draw two confusion matrices: the errors in colour, beside each row the class's accuracy."""
    figure, (axes,) = new_figure(1, 2, (11, 5.7))
    off_diagonal = ~np.eye(len(relu.confusion), dtype=bool)
    most = max(1, relu.confusion[off_diagonal].max(), lrelu.confusion[off_diagonal].max())
    for ax, result, cmap in zip(axes, (relu, lrelu), ("Blues", "Oranges"), strict=True):
        counts = result.confusion
        texts = [[f"{v:d}" if v else "" for v in row] for row in counts]
        errors = np.where(off_diagonal, counts, np.nan)  # what is NaN has no colour and no text
        sns.heatmap(errors, ax=ax, cmap=cmap, vmin=0, vmax=1.3 * most, annot=texts, **HEATMAP)
        ax.set_facecolor("#eeeeee")
        for digit, row in enumerate(counts):
            ax.text(digit + 0.5, digit + 0.5, f"{row[digit]:,d}", ha="center", va="center", size=9)
            share = f"{100 * row[digit] / row.sum():.1f}%" if row.sum() else "no image"
            ax.text(10.15, digit + 0.5, share, va="center", size=9)
        ax.set_title(f"{result.label}: {np.trace(counts):,} of {counts.sum():,} correct")
        label_classes(ax)
    figure.suptitle(f"10x10 confusion matrix, test data ({dataset})", fontsize=13)
    return figure


def confusion_difference(
    relu: Result, lrelu: Result, dataset: str, over_seeds: Sequence[Interval] = ()
) -> Figure:
    """Draw the difference of two confusion matrices, and that of the errors of each class.

    The colour says which network is better. ``over_seeds`` has the mean difference of each class
    over stored seeds; none where there are no such runs.
    """
    figure, ((left, right),) = new_figure(1, 2, (11, 5.2))
    difference = lrelu.confusion - relu.confusion
    in_favour = np.where(np.eye(len(difference), dtype=bool), difference, -difference)
    limit = max(1, int(np.abs(difference).max()))
    signed = [[f"{v:+d}" if v else "" for v in row] for row in difference]
    sns.heatmap(
        in_favour, ax=left, cmap=WHO_IS_BETTER, vmin=-limit, vmax=limit, annot=signed, **HEATMAP
    )
    left.set_title(f"Counts: {lrelu.label} minus {relu.label}")
    label_classes(left)

    classes, gaps = np.arange(len(difference)), lrelu.errors - relu.errors
    colours = [BLUE if gap > 0 else VERMILION for gap in gaps]
    right.bar(classes, gaps, 0.6, color=colours, alpha=0.6, label="this run")
    if over_seeds:
        means = [interval.mean for interval in over_seeds]
        halves = [interval.high - interval.mean for interval in over_seeds]
        label = f"mean of {over_seeds[0].n} stored seeds"
        right.errorbar(classes, means, halves, fmt="D", ms=5, color="black", capsize=3, label=label)
    right.axhline(0, color=GREY, lw=0.8)
    right.set(title=f"Errors by class: {lrelu.label} minus {relu.label}", xticks=classes)
    right.set(xlabel="True class", ylabel="Images (above 0: ReLU is better)")
    legend = right.legend(frameon=False, fontsize=9)
    legend.get_patches()[0].set_color(GREY)  # it stands for blue and orange bars
    figure.suptitle(f"Blue: {relu.label} is better, orange: {lrelu.label} ({dataset})", fontsize=13)
    return figure


def label_classes(ax: Axes) -> None:
    """Name the axes and the classes of a confusion matrix; frame it."""
    ax.set(xlabel="Predicted class", ylabel="True class")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(np.arange(10) + 0.5, [str(digit) for digit in range(10)])
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(True)


def learning_curves(
    relu: Result, lrelu: Result, dataset: str, over_seeds: Mapping[str, Any] | None = None
) -> Figure:
    """Draw the losses of both splits by epoch; below, if given, the same over stored seeds.

    Only the first panel shows epoch 0, before training: chance is far away from what follows.
    ``over_seeds``: see ``over_seeds.curves``.
    """
    repeated = over_seeds if over_seeds and over_seeds["n"] else None
    figure, axes = new_figure(2 if repeated else 1, 2, (11, 7.6 if repeated else 4.2))
    loss, zoom = axes[0]
    for result, colour in zip((relu, lrelu), COLOURS, strict=True):
        history = result.run.history
        epochs = np.arange(len(history.train_loss))
        for split, dash, marker in (("train", "--", ""), ("validation", "-", "o")):
            line: dict[str, Any] = {"ls": dash, "color": colour, "marker": marker, "ms": 3.5}
            losses = np.array(getattr(history, f"{split}_loss"))
            loss.plot(epochs, losses, label=f"{result.label} {split}", **line)
            zoom.plot(epochs[1:], losses[1:], **line)
    by_epoch(loss, f"This run, log scale ({dataset})", "Cross-entropy loss")
    by_epoch(zoom, f"This run from epoch 1 ({dataset})", "Cross-entropy loss")
    loss.set_yscale("log")
    zoom.set_ylim(0, None)
    handles = loss.get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=4, frameon=False)
    if repeated:
        loss_over_seeds(axes[1, 0], axes[1, 1], repeated, (relu.label, lrelu.label))
    return figure


def loss_over_seeds(
    means: Axes, gaps: Axes, over_seeds: Mapping[str, Any], names: tuple[str, str]
) -> None:
    """Draw mean and range of the losses over seeds, and the mean paired differences."""
    for split, dash, dark in (("train", "--", GREEN), ("validation", "-", "black")):
        for name, colour in zip(("ReLU", "LReLU"), COLOURS, strict=True):
            losses = over_seeds[split][name][:, 1:]
            epochs = np.arange(1, losses.shape[1] + 1)
            means.plot(epochs, losses.mean(axis=0), dash, color=colour)
            low, high = losses.min(axis=0), losses.max(axis=0)
            means.fill_between(epochs, low, high, color=colour, alpha=0.12, lw=0)
        intervals = over_seeds["gaps"][split][1:]
        gaps.plot(epochs, [i.mean for i in intervals], dash, color=dark, label=split)
        low, high = [i.low for i in intervals], [i.high for i in intervals]
        gaps.fill_between(epochs, low, high, color=dark, alpha=0.15, lw=0)
    gaps.axhline(0, color=GREY, lw=0.8)
    by_epoch(means, f"{over_seeds['n']} stored seeds: mean and range", "Cross-entropy loss")
    by_epoch(gaps, f"{names[1]} minus {names[0]}, same seed: mean, 95 %", "Difference of losses")
    means.set_ylim(0, None)
    gaps.legend(frameon=False)


def step_agreement(agreements: Mapping[str, Agreement]) -> Figure:
    """Draw how far two implementations are apart, step by step: losses and weights."""
    figure, (axes,) = new_figure(1, 2, (11, 4.2))
    colours, dashes = (BLUE, VERMILION, BLUE, VERMILION), ("-", "-", ":", ":")
    for (name, steps), colour, dash in zip(agreements.items(), colours, dashes, strict=True):
        for ax, values in zip(axes, (steps.loss, steps.weights), strict=True):
            # A difference of exactly 0 has no place on a log axis: it is drawn at 1e-17.
            shown = np.maximum(values, 1e-17)
            ax.plot(np.arange(1, len(values) + 1), shown, dash, color=colour, lw=1.1, label=name)
    titles = ("Loss: |NumPy − PyTorch|", "Weights: relative difference")
    for ax, limit, title in zip(axes, (LOSS_LIMIT, WEIGHT_LIMIT), titles, strict=True):
        ax.axhline(limit, color=GREY, lw=0.8)
        note = f"required in float64: {limit:.0e}"
        place = {"xytext": (0, 3), "textcoords": "offset points"}
        ax.annotate(note, (1, limit), fontsize=9, color=GREY, **place)
        ax.set(title=title, xlabel="Minibatch of the first epoch", yscale="log")
    axes[1].legend(frameon=False, loc="center right", bbox_to_anchor=(1, 0.32), fontsize=9)
    return figure


def dots(
    ax: Axes, groups: Mapping[str, NDArray[np.float64]], looked: int = 0, colour: str = VERMILION
) -> None:
    """Draw paired differences: a dot a seed, and each group's mean with its 95 % interval.

    The first ``looked`` dots of a group are hollow.
    """
    for position, values in enumerate(groups.values()):
        places = position + np.linspace(-0.15, 0.15, len(values))
        first: dict[str, Any] = {"mfc": "none", "mec": colour}
        ax.plot(places[looked:], values[looked:], "o", ms=5, color=colour, alpha=0.7, mew=0)
        ax.plot(places[:looked], values[:looked], "o", ms=5, **first)
        interval = mean_interval(values)
        half = interval.high - interval.mean
        ax.errorbar(position + 0.3, interval.mean, half, fmt="D", ms=5, color="black", capsize=4)
    ax.axhline(0, color=GREY, lw=1)
    ax.set_xticks(range(len(groups)), list(groups))
    ax.set_xlim(-0.6, len(groups) - 0.2)
    ax.grid(axis="y", alpha=0.3)


def seeds(
    accuracy: Mapping[str, NDArray[np.float64]],
    loss: Mapping[str, NDArray[np.float64]],
    looked: int,
) -> Figure:
    """Draw how LReLU's test accuracy and test loss differ from ReLU's with the same seed.

    The first ``looked`` seeds, hollow, had been seen before the others were trained.
    """
    figure, ((left, right),) = new_figure(1, 2, (11, 4.2))
    dots(left, {label: 100 * gaps for label, gaps in accuracy.items()}, looked)
    dots(right, loss, looked)
    left.set(
        title="Test accuracy minus ReLU's, same seed",
        ylabel="Percentage points (above 0: LReLU better)",
    )
    right.set(title="Test loss minus ReLU's, same seed", ylabel="Loss (below 0: LReLU better)")
    return figure


def calibration(
    bins: Mapping[str, Sequence[Bin]], explained: Mapping[str, NDArray[np.float64]]
) -> Figure:
    """Draw how often a network is wrong against how often it says it may be.

    ``bins[label]`` holds equally many images each; one without an error has no place on the log
    axis. Beside it what ``explained`` holds over stored seeds: by name,
    paired differences of LReLU(0.1) to ReLU, the last one, a fraction, on an axis of its own.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(5, 3.4, 2))
    left.plot([1e-5, 1], [1e-5, 1], color=GREY, lw=0.8, label="perfect calibration")
    for (label, groups), colour, marker in zip(bins.items(), COLOURS, "os", strict=True):
        seen = [b for b in groups if b.wrong]
        wrong = np.array([b.wrong for b in seen])
        ends = [wrong - [b.low for b in seen], [b.high for b in seen] - wrong]
        look: dict[str, Any] = {"fmt": marker, "ms": 5, "color": colour, "capsize": 3, "lw": 1}
        left.errorbar([b.said for b in seen], wrong, ends, label=label, **look)
    title = f"Predicted and actual error, this run ({groups[0].images:,} images a point)"
    left.set(title=title, xscale="log", yscale="log")
    left.set(xlabel="Mean of 1 − p of the answer", ylabel="Fraction misread, 95 %")
    left.legend(frameon=False, fontsize=9)
    left.grid(alpha=0.3)
    *losses, error = explained
    dots(middle, {name: explained[name] for name in losses})
    dots(right, {error: 100 * explained[error]})
    middle.set(title="LReLU(0.1) minus ReLU, same seed", ylabel="Part of the mean test loss")
    right.set(title="ECE difference", ylabel="Percentage points (below 0: less)")
    return figure


def recipe_steps(gains: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Draw what each step of the recipe adds to the validation accuracy, seed by seed."""
    figure, axes = new_figure(1, 1, (8, 3.4))
    dots(axes[0, 0], {step: 100 * values for step, values in gains.items()}, colour=BLUE)
    title = "What each step adds to the one before it (ReLU)"
    axes[0, 0].set(title=title, ylabel="Validation accuracy (points)")
    return figure


def stress(settings: Mapping[str, Mapping[str, Mapping[str, Any]]], majority: float) -> Figure:
    """Draw the validation accuracy of every run in every setting; x and +: diverged.

    ``settings[setting][label]``: see ``experiments.stress``. The line is at the largest class.
    """
    figure, axes = new_figure(1, 1, (11, 4))
    ax, last = axes[0, 0], len(settings) - 1
    markers = {"ReLU": "ox", "LReLU(0.1)": "^x", "LReLU(0.3)": "s+"}  # finished, diverged
    for place, groups in enumerate(settings.values()):
        for shift, (label, ends) in zip((-0.25, 0, 0.25), groups.items(), strict=True):
            look = {"color": style(label)["color"], "ms": 6, "alpha": 0.8}
            both = (100 * ends["accuracies"], ends["lost"])
            for values, marker in zip(both, markers[label], strict=True):
                where = place + shift + 0.02 * (np.arange(len(values)) - (len(values) - 1) / 2)
                named = place == last and marker not in "x+"
                ax.plot(where, values, marker, label=label if named else None, **look)
    ax.axhline(100 * majority, color=GREY, lw=0.8, ls=":")
    above: dict[str, Any] = {"xytext": (0, 4), "textcoords": "offset points"}
    note = "always the largest class"
    ax.annotate(note, (-0.5, 100 * majority), fontsize=9, color=GREY, **above)
    ax.set_xticks(range(len(settings)), list(settings))
    ax.set(title="Five epochs under stress (x and +: diverged)", ylabel="Validation accuracy (%)")
    ax.set(ylim=(-6, 103), xlim=(-0.55, last + 0.55))
    ax.grid(axis="y", alpha=0.3)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def learning_speed(curves: Mapping[str, NDArray[np.float64]], goal: float) -> Figure:
    """Draw mean validation accuracy from epoch 1; ``curves[label]`` is (seeds, epochs + 1)."""
    figure, ((ax,),) = new_figure(1, 1, (9.8, 4.4))
    alone = {  # the sigmoid's own rates beside the shared one
        "sigmoid, lr 0.2": {"color": "#332288", "ls": "-"},
        "sigmoid, lr 0.8": {"color": "#999933", "ls": "-."},
    }
    for label, values in curves.items():
        line = alone.get(label, style(label))
        epochs = np.arange(1, values.shape[1])
        ax.plot(epochs, 100 * values[:, 1:].mean(axis=0), label=label, **line)
    ax.axhline(100 * goal, color=GREY, lw=0.8, ls=":")
    by_epoch(ax, "Validation accuracy above 94 %", "Accuracy (%)")
    ax.set_ylim(94, 99)
    ax.legend(frameon=False, loc="lower right", fontsize=9)
    return figure
