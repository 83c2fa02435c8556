"""One function a figure: results in, Figure out. Nothing here trains or reads files.

ReLU is blue, LReLU is vermilion (Okabe and Ito's colours for all kinds of colour vision); dashes
and markers say the same in greyscale. Text in English: Colab has no Korean font.
"""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mnist_mlp.checks import LOSS_LIMIT, WEIGHT_LIMIT, Agreement
from mnist_mlp.evaluation import Result, ScoredImage, mean_interval

BLUE, VERMILION, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#AA4499", "#555555"
COLOURS = (BLUE, VERMILION)
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


def samples(images: NDArray[np.float32], labels: NDArray[np.int64], title: str) -> Figure:
    """Draw the first ten images of every class, one class a row, as one mosaic."""
    mosaic = np.zeros((10, 10, 28, 28), np.float32)  # class, image, its rows and columns
    for digit in range(10):
        first = images[labels == digit][:10].reshape(-1, 28, 28)
        mosaic[digit, : len(first)] = first
    figure, axes = new_figure(1, 1, (6.4, 6.6))
    ax = axes[0, 0]
    pixels = mosaic.transpose(0, 2, 1, 3).reshape(280, 280)
    ax.imshow(pixels, cmap="gray_r", vmin=0, vmax=1)
    ax.set(title=title, ylabel="Class", xticks=[])
    ax.set_yticks(28 * np.arange(10) + 13.5, [str(digit) for digit in range(10)])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return figure


def gradient_flow(flows: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw dL/dz by hidden layer relative to the last one, before and after an epoch.

    ``flows[label]`` has ``start``, ``after`` and ``predicted``, arrays over the hidden layers.
    """
    figure, axes = new_figure(1, 2, (11, 4.2))
    for label, flow in flows.items():
        layers = np.arange(1, len(flow["start"]) + 1)
        markers = {"marker": "s" if "gain" in label else "o", "ms": 4.5}
        for ax, values in zip(axes[0], (flow["start"], flow["after"]), strict=True):
            ax.plot(layers, values, label=label, **style(label) | markers)
        axes[0, 0].plot(layers, flow["predicted"], "x", color=style(label)["color"], ms=9)
    for ax, when in zip(axes[0], ("at the start (x: predicted)", "after one epoch"), strict=True):
        ax.set(title=f"Gradient by layer, {when}", yscale="log", xlabel="Hidden layer")
        ax.set_ylabel("RMS of dL/dz, last layer = 1")
        ax.grid(alpha=0.3)
    axes[0, 1].legend(frameon=False, fontsize=9)
    return figure


def confusion_matrices(relu: Result, lrelu: Result, dataset: str) -> Figure:
    """Draw counts and row rates of two confusion matrices."""
    figure, axes = new_figure(2, 2, (11, 10.6))
    # Errors are below 2 % of a row: a square-root-like scale keeps them visible beside 99 %.
    scale = PowerNorm(0.35, vmin=0, vmax=100)
    for (above, below), result in zip(axes.T, (relu, lrelu), strict=True):
        counts, label = result.confusion, result.label
        rates = 100 * counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
        correct = f"{np.trace(counts):,} of {counts.sum():,} correct"
        texts = {above: (counts, ",d"), below: (rates, ".1f")}
        for ax, (values, form) in texts.items():
            annotations = [[format(v, form) if v else "" for v in row] for row in values]
            sns.heatmap(rates, ax=ax, norm=scale, cmap="Blues", annot=annotations, **HEATMAP)
            label_classes(ax)
        above.set_title(f"{label}: counts ({correct})")
        below.set_title(f"{label}: % of the true class")
    figure.suptitle(f"10x10 confusion matrix, test data ({dataset})", fontsize=13)
    return figure


def confusion_difference(relu: Result, lrelu: Result, dataset: str) -> Figure:
    """Draw the difference of two confusion matrices, and the errors of each class."""
    figure, ((left, right),) = new_figure(1, 2, (11, 5.4))
    difference = lrelu.confusion - relu.confusion
    limit = max(1, int(np.abs(difference).max()))
    signed = [[f"{v:+d}" if v else "" for v in row] for row in difference]
    sns.heatmap(difference, ax=left, cmap="PuOr", vmin=-limit, vmax=limit, annot=signed, **HEATMAP)
    left.set_title(f"Difference of counts: {lrelu.label} minus {relu.label}")
    label_classes(left)

    classes = np.arange(len(difference))
    for shift, result, colour in zip((-0.2, 0.2), (relu, lrelu), COLOURS, strict=True):
        bars = right.bar(classes + shift, result.errors, 0.4, color=colour, label=result.label)
        right.bar_label(bars, fontsize=8)
    right.set(title="Errors by true class", xlabel="True class", ylabel="Images", xticks=classes)
    right.locator_params(axis="y", integer=True)
    right.margins(y=0.12)  # the legend stands above the tallest bar
    right.legend(frameon=False, ncols=2)
    figure.suptitle(f"Difference of the confusion matrices, test data ({dataset})", fontsize=13)
    return figure


def label_classes(ax: Axes) -> None:
    """Name the axes and the classes of a confusion matrix; frame it."""
    ax.set(xlabel="Predicted class", ylabel="True class")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(np.arange(10) + 0.5, [str(digit) for digit in range(10)])
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(True)


def top3_images(relu: Result, lrelu: Result, images: NDArray[np.float32], dataset: str) -> Figure:
    """Draw the three best images of every class for two networks, with 1 - p under each.

    A thick green frame and "both" mark an image that is among the three best of both networks.
    """
    # Places by number: to arrange sixty axes by their texts takes as long as to draw them.
    figure = Figure(figsize=(9.8, 17))
    place = {"bottom": 0.025, "top": 0.965, "hspace": 0.35, "wspace": 0.25}
    grids = [figure.add_gridspec(10, 3, **place, left=x, right=x + 0.45) for x in (0.04, 0.54)]
    axes = np.hstack([grid.subplots(squeeze=False) for grid in grids])
    for digit, (left, right) in enumerate(zip(relu.top3, lrelu.top3, strict=True)):
        shared = {s.index for s in left} & {s.index for s in right}
        for ax, scored in zip(axes[digit], left + right, strict=False):
            draw_image(ax, images[scored.index], scored.index in shared)
            ax.set_xlabel(score_label(scored, digit, scored.index in shared), fontsize=9)
        axes[digit, 0].set_ylabel(f"class {digit}", fontsize=11)
    for column, ax in enumerate(axes[0]):
        label = (relu, lrelu)[column // 3].label
        ax.set_title(f"{label}  #{column % 3 + 1}", fontsize=10)
    title = f"Top 3 score images of every class, test data ({dataset})"
    figure.suptitle(title, fontsize=13, y=0.993)
    return figure


def draw_image(ax: Axes, pixels: NDArray[np.float32], marked: bool) -> None:
    """Draw a digit of 784 pixels, framed; in thick green if it is marked."""
    ax.imshow(pixels.reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=True, color=GREEN if marked else "#bbbbbb", lw=3 if marked else 0.8)


def score_label(scored: ScoredImage, digit: int, shared: bool) -> str:
    """Return the text under an image: its probability, its number, and what is special about it."""
    if scored.shortfall < 1e-3:
        p = f"p = 1 − {scored.shortfall:.1e}"
    else:
        p = f"p = {scored.probability:.4f}"
    notes = ["both"] * shared + [f"true class {scored.label}"] * (scored.label != digit)
    return f"{p}\n#{scored.index}" + "".join(f", {note}" for note in notes)


def learning_curves(relu: Result, lrelu: Result, dataset: str) -> Figure:
    """Draw loss and accuracy of both splits by epoch, and the difference of the two networks.

    Only the first panel shows epoch 0, before training: chance is far away from what follows.
    """
    figure, axes = new_figure(2, 2, (11, 8))
    loss, zoom, accuracy, difference = axes.ravel()
    for result, colour in zip((relu, lrelu), COLOURS, strict=True):
        history = result.run.history
        epochs = np.arange(len(history.train_loss))
        for split, dash, marker in (("train", "--", ""), ("validation", "-", "o")):
            line: dict[str, Any] = {"ls": dash, "color": colour, "marker": marker, "ms": 3.5}
            losses = np.array(getattr(history, f"{split}_loss"))
            rates = 100 * np.array(getattr(history, f"{split}_accuracy"))
            loss.plot(epochs, losses, label=f"{result.label} {split}", **line)
            zoom.plot(epochs[1:], losses[1:], **line)
            accuracy.plot(epochs[1:], rates[1:], **line)
    for split, dash in (("train", "--"), ("validation", "-")):
        a, b = (np.array(getattr(r.run.history, f"{split}_loss")) for r in (relu, lrelu))
        difference.plot(np.arange(1, len(a)), (b - a)[1:], dash, color="black", label=split)
    difference.axhline(0, color=GREY, lw=0.8)
    by_epoch(loss, f"Cross-entropy loss ({dataset})", "Loss (log scale)")
    by_epoch(zoom, "The same from epoch 1, linear scale", "Loss")
    by_epoch(accuracy, f"Accuracy from epoch 1 ({dataset})", "Accuracy (%)")
    by_epoch(difference, f"Loss of {lrelu.label} minus {relu.label}", "Difference of losses")
    loss.set_yscale("log")
    zoom.set_ylim(0, None)
    handles = loss.get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=4, frameon=False)
    difference.legend(frameon=False)
    return figure


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


def dots(ax: Axes, groups: Mapping[str, NDArray[np.float64]], title: str, ylabel: str) -> None:
    """Draw fractions in percent: a dot a seed, and each group's mean with its 95 % interval."""
    for position, (label, values) in enumerate(groups.items()):
        spread = np.linspace(-0.12, 0.12, len(values))
        colour = VERMILION if label.startswith("LReLU") else BLUE
        ax.plot(position + spread, 100 * values, "o", ms=5.5, color=colour, alpha=0.8, mew=0)
        interval = mean_interval(100 * values)
        half = interval.high - interval.mean
        ax.errorbar(position + 0.25, interval.mean, half, fmt="D", ms=5, color="black", capsize=4)
    ax.set_xticks(range(len(groups)), list(groups))
    ax.set(title=title, ylabel=ylabel, xlim=(-0.6, len(groups) - 0.2))
    ax.grid(axis="y", alpha=0.3)


def recipe_steps(steps: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Draw validation accuracy of the recipe, built up step by step."""
    figure, axes = new_figure(1, 1, (8, 3.8))
    title = "What each step of the recipe buys (ReLU)"
    dots(axes[0, 0], steps, title, "Validation accuracy (%)")
    return figure


def seeds(
    accuracy: Mapping[str, NDArray[np.float64]], difference: Mapping[str, NDArray[np.float64]]
) -> Figure:
    """Draw test accuracy by activation, and the paired differences to ReLU."""
    figure, axes = new_figure(1, 2, (11, 4.2))
    dots(axes[0, 0], accuracy, "Test accuracy over seeds", "Test accuracy (%)")
    axes[0, 1].axhline(0, color=GREY, lw=1)
    dots(axes[0, 1], difference, "Same seed: LReLU minus ReLU", "Difference to ReLU (points)")
    return figure


def dead_fractions(dead: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Draw the mean fraction of dead units by epoch; arrays of shape (epochs + 1, layers)."""
    figure, (axes,) = new_figure(1, 2, (11, 3.6))
    for layer, ax in enumerate(axes):
        for label, values in dead.items():
            ax.plot(100 * values[:, layer], label=label, **style(label))
        by_epoch(ax, f"Hidden layer {layer + 1}", "Dead units (%)")
        ax.set_ylim(0, 105 * max(values.max() for values in dead.values()) or 1)
    axes[1].legend(frameon=False)
    return figure


def learning_speed(curves: Mapping[str, NDArray[np.float64]], goal: float) -> Figure:
    """Draw validation accuracy from epoch 1, mean and range over seeds; (seeds, epochs + 1)."""
    figure, ((ax,),) = new_figure(1, 1, (9.8, 5))
    alone = {  # the sigmoid's own rates beside the shared one
        "sigmoid, lr 0.2": {"color": "#332288", "ls": "-"},
        "sigmoid, lr 0.8": {"color": "#999933", "ls": "-."},
    }
    for label, values in curves.items():
        line = alone.get(label, style(label))
        epochs, rates = np.arange(1, values.shape[1]), 100 * values[:, 1:]
        ax.plot(epochs, rates.mean(axis=0), label=label, **line)
        low, high = rates.min(axis=0), rates.max(axis=0)
        ax.fill_between(epochs, low, high, color=line["color"], alpha=0.1, lw=0)
    ax.axhline(100 * goal, color=GREY, lw=0.8, ls=":")
    by_epoch(ax, "Validation accuracy above 94 %", "Accuracy (%)")
    ax.set_ylim(94, 99)
    ax.legend(frameon=False, loc="lower right", fontsize=9)
    return figure
