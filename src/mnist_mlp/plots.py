"""One function a figure: results in, Figure out. Nothing here trains or reads files.

ReLU is blue, LReLU is vermilion (Okabe and Ito's colours for all kinds of colour vision); dashes
and markers say the same in greyscale. Text in English: Colab has no Korean font.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mnist_mlp.checks import LOSS_LIMIT, WEIGHT_LIMIT, Agreement
from mnist_mlp.evaluation import Result, ScoredImage, mean_interval

BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#555555"
COLOURS = (BLUE, VERMILION)
HEATMAP: dict[str, Any] = {
    "annot_kws": {"size": 9},
    "cbar": False,
    "linewidths": 0.5,
    "square": True,
    # label_classes writes them: to fit each, seaborn would draw the figure and keep its 7 MB.
    "xticklabels": False,
    "yticklabels": False,
}
matplotlib.rc("axes.spines", top=False, right=False)


def new_figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, NDArray[Any]]:
    """Return a figure, kept out of pyplot's list, and its axes as a (rows, columns) array."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def activations(alphas: Sequence[float]) -> Figure:
    """Draw sigmoid, ReLU and LReLU and their derivatives."""
    x = np.linspace(-5, 5, 1001)
    sigmoid = 1 / (1 + np.exp(-x))
    curves = {"sigmoid": (sigmoid, sigmoid * (1 - sigmoid)), "ReLU": (np.maximum(x, 0), x > 0)}
    curves |= {
        f"LReLU({a:g})": (np.where(x > 0, x, a * x), np.where(x > 0, 1.0, a)) for a in alphas
    }
    figure, axes = new_figure(1, 2, (9.6, 3.4))
    for (name, pair), colour, dash in zip(
        curves.items(), (GREY, BLUE, VERMILION, GREEN), (":", "-", "--", "-."), strict=False
    ):
        for ax, y in zip(axes[0], pair, strict=True):
            ax.plot(x, y, dash, color=colour, label=name)
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


def confusion(first: Result, second: Result, dataset: str) -> Figure:
    """Draw counts and row rates of two confusion matrices."""
    figure, axes = new_figure(2, 2, (11, 10.6))
    # Errors are below 2 % of a row: a square-root-like scale keeps them visible beside 99 %.
    scale = PowerNorm(0.35, vmin=0, vmax=100)
    for column, result in enumerate((first, second)):
        rates = 100 * result.confusion / result.confusion.sum(axis=1, keepdims=True)
        correct = f"{np.trace(result.confusion):,} of {result.confusion.sum():,} correct"
        for row, (values, kind, text) in enumerate(
            ((result.confusion, "counts", ",d"), (rates, "% of the true class", ".1f"))
        ):
            ax = axes[row, column]
            annotations = np.vectorize(lambda v, text=text: format(v, text) if v else "")(values)
            sns.heatmap(rates, ax=ax, norm=scale, cmap="Blues", annot=annotations, fmt="",
                        **HEATMAP)  # fmt: skip
            name = result.run.recipe.activation
            ax.set_title(f"{name}: {kind}" + (f" ({correct})" if row == 0 else ""))
            label_classes(ax)
    figure.suptitle(f"10x10 confusion matrix, test data ({dataset})", fontsize=13)
    return figure


def confusion_difference(first: Result, second: Result, dataset: str) -> Figure:
    """Draw the difference of two confusion matrices, and the errors of each class."""
    figure, (axes,) = new_figure(1, 2, (11, 5.4))
    names = [result.run.recipe.activation for result in (first, second)]
    difference = second.confusion - first.confusion
    limit = max(1, int(np.abs(difference).max()))
    signed = np.vectorize(lambda v: f"{v:+d}" if v else "")(difference)
    sns.heatmap(difference, ax=axes[0], cmap="PuOr", vmin=-limit, vmax=limit, annot=signed, fmt="",
                **HEATMAP)  # fmt: skip
    axes[0].set_title(f"Difference of counts: {names[1]} minus {names[0]}")
    label_classes(axes[0])

    classes = np.arange(len(difference))
    for shift, result, name, colour in zip(
        (-0.2, 0.2), (first, second), names, COLOURS, strict=True
    ):
        errors = result.confusion.sum(axis=1) - np.diag(result.confusion)
        bars = axes[1].bar(classes + shift, errors, 0.4, color=colour, label=name)
        axes[1].bar_label(bars, fontsize=8)
    axes[1].set(title="Errors by true class", xlabel="True class", ylabel="Images", xticks=classes)
    axes[1].yaxis.get_major_locator().set_params(integer=True)
    axes[1].margins(y=0.12)  # the legend stands above the tallest bar
    axes[1].legend(frameon=False, ncols=2)
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


def top3(first: Result, second: Result, images: NDArray[np.float32], dataset: str) -> Figure:
    """Draw the three best images of every class for two networks, with 1 - p under each.

    A thick green frame and "both" mark an image that is among the three best of both networks.
    """
    # Places by number: to arrange sixty axes by their texts takes as long as to draw them.
    figure = Figure(figsize=(9.8, 17))
    place = {"bottom": 0.025, "top": 0.965, "hspace": 0.35, "wspace": 0.25}
    grids = [figure.add_gridspec(10, 3, **place, left=x, right=x + 0.45) for x in (0.04, 0.54)]
    axes = np.hstack([grid.subplots(squeeze=False) for grid in grids])
    for digit, (left, right) in enumerate(zip(first.top3, second.top3, strict=True)):
        shared = {s.index for s in left} & {s.index for s in right}
        for ax, scored in zip(axes[digit], left + right, strict=True):
            ax.imshow(images[scored.index].reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
            is_shared = scored.index in shared
            ax.spines[:].set(
                visible=True, color=GREEN if is_shared else "#bbbbbb", lw=3 if is_shared else 0.8
            )
            ax.set_xlabel(score_label(scored, digit, is_shared), fontsize=9)
        axes[digit, 0].set_ylabel(f"class {digit}", fontsize=11)
    for column, result in ((0, first), (3, second)):
        for rank in range(3):
            axes[0, column + rank].set_title(
                f"{result.run.recipe.activation}  #{rank + 1}", fontsize=10
            )
    figure.suptitle(
        f"Top 3 score images of every class, test data ({dataset})", fontsize=13, y=0.993
    )
    return figure


def score_label(scored: ScoredImage, digit: int, shared: bool) -> str:
    """Return the text under an image: its probability, its number, and what is special about it."""
    p = (
        f"p = 1 − {scored.shortfall:.1e}"
        if scored.shortfall < 1e-3
        else f"p = {scored.probability:.4f}"
    )
    notes = ["both"] * shared + [f"true class {scored.label}"] * (scored.label != digit)
    return f"{p}\n#{scored.index}" + "".join(f", {note}" for note in notes)


def learning_curves(first: Result, second: Result, dataset: str) -> Figure:
    """Draw loss and accuracy of both splits by epoch, and the difference of the two networks.

    Only the first panel shows epoch 0, before training: chance is far away from what follows.
    """
    figure, axes = new_figure(2, 2, (11, 8))
    loss, zoom, accuracy, difference = axes.ravel()
    for result, colour in zip((first, second), COLOURS, strict=True):
        name, history = result.run.recipe.activation, result.run.history
        epochs = np.arange(len(history.train_loss))
        for split, dash, marker in (("train", "--", ""), ("validation", "-", "o")):
            style: dict[str, Any] = {"ls": dash, "color": colour, "marker": marker, "ms": 3.5}
            losses = np.array(getattr(history, f"{split}_loss"))
            rates = 100 * np.array(getattr(history, f"{split}_accuracy"))
            loss.plot(epochs, losses, label=f"{name} {split}", **style)
            zoom.plot(epochs[1:], losses[1:], **style)
            accuracy.plot(epochs[1:], rates[1:], **style)
    for split, dash in (("train", "--"), ("validation", "-")):
        a, b = (np.array(getattr(r.run.history, f"{split}_loss")) for r in (first, second))
        difference.plot(np.arange(1, len(a)), (b - a)[1:], dash, color="black", label=split)
    difference.axhline(0, color=GREY, lw=0.8)
    loss.set(title=f"Cross-entropy loss ({dataset})", ylabel="Loss (log scale)", yscale="log")
    zoom.set(title="The same from epoch 1, linear scale", ylabel="Loss", ylim=(0, None))
    accuracy.set(title=f"Accuracy from epoch 1 ({dataset})", ylabel="Accuracy (%)")
    difference.set(
        title=f"Loss of {second.run.recipe.activation} minus {first.run.recipe.activation}",
        ylabel="Difference of losses",
    )
    for ax in axes.ravel():
        ax.set_xlabel("Epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
    figure.legend(*loss.get_legend_handles_labels(), loc="outside upper center", ncols=4,
                  frameon=False)  # fmt: skip
    difference.legend(frameon=False)
    return figure


def agreement(curves: Mapping[str, Agreement]) -> Figure:
    """Draw how far two implementations are apart, step by step: losses and weights."""
    figure, axes = new_figure(1, 2, (11, 4.2))
    styles = ((BLUE, "-"), (VERMILION, "-"), (BLUE, ":"), (VERMILION, ":"))
    for (name, curve), (colour, dash) in zip(curves.items(), styles, strict=False):
        for ax, values in zip(axes[0], (curve.loss, curve.weights), strict=True):
            # A difference of exactly 0 has no place on a log axis: it is drawn at 1e-17.
            ax.plot(np.arange(1, len(values) + 1), np.maximum(values, 1e-17), dash, color=colour,
                    lw=1.1, label=name)  # fmt: skip
    for ax, limit, title in zip(
        axes[0],
        (LOSS_LIMIT, WEIGHT_LIMIT),
        ("Loss: |NumPy − PyTorch|", "Weights: relative difference"),
        strict=True,
    ):
        ax.axhline(limit, color=GREY, lw=0.8)
        ax.annotate(f"required in float64: {limit:.0e}", (1, limit), (0, 3), fontsize=9,
                    textcoords="offset points", color=GREY)  # fmt: skip
        ax.set(title=title, xlabel="Minibatch of the first epoch", yscale="log")
    axes[0, 1].legend(frameon=False, loc="center right", bbox_to_anchor=(1, 0.32), fontsize=9)
    return figure


def percent_by_recipe(
    ax: Axes, groups: Mapping[str, pd.Series], title: str, ylabel: str, colour: str = BLUE
) -> None:
    """Draw a dot for each seed and the mean with its 95 % interval for each group."""
    for position, values in enumerate(groups.values()):
        spread = np.linspace(-0.12, 0.12, len(values))
        ax.plot(position + spread, 100 * values, "o", ms=5.5, color=colour, alpha=0.8, mew=0)
        interval = mean_interval(100 * values.to_numpy())
        ax.errorbar(position + 0.25, interval.mean, interval.high - interval.mean, fmt="D", ms=5,
                    color="black", capsize=4)  # fmt: skip
    ax.set_xticks(range(len(groups)), list(groups))
    ax.set(title=title, ylabel=ylabel, xlim=(-0.6, len(groups) - 0.2))
    ax.grid(axis="y", alpha=0.3)


def ladder(groups: Mapping[str, pd.Series]) -> Figure:
    """Draw validation accuracy of the recipe, built up step by step."""
    figure, axes = new_figure(1, 1, (8, 3.8))
    percent_by_recipe(axes[0, 0], groups, "What each step of the recipe buys (ReLU)",
                      "Validation accuracy (%)")  # fmt: skip
    return figure


def seed_study(accuracy: Mapping[str, pd.Series], difference: Mapping[str, pd.Series]) -> Figure:
    """Draw test accuracy by activation, and the paired differences to ReLU."""
    figure, axes = new_figure(1, 2, (11, 4.2))
    percent_by_recipe(axes[0, 0], accuracy, "Test accuracy over seeds", "Test accuracy (%)")
    axes[0, 1].axhline(0, color=GREY, lw=1)
    percent_by_recipe(axes[0, 1], difference, "Same seed: LReLU minus ReLU",
                      "Difference to ReLU (points)", VERMILION)  # fmt: skip
    return figure


def dead_units(curves: Mapping[str, NDArray[np.float64]]) -> Figure:
    """Draw the mean fraction of dead units by epoch; arrays of shape (epochs + 1, layers)."""
    figure, axes = new_figure(1, 2, (11, 3.6))
    styles = ((BLUE, "-"), (GREY, ":"), (VERMILION, "--"), (GREEN, "-."))
    for (name, values), (colour, dash) in zip(curves.items(), styles, strict=False):
        for layer, ax in enumerate(axes[0]):
            ax.plot(100 * values[:, layer], dash, color=colour, label=name)
    top = 105 * max(values.max() for values in curves.values()) or 1
    for layer, ax in enumerate(axes[0]):
        ax.set(title=f"Hidden layer {layer + 1}", xlabel="Epoch", ylabel="Dead units (%)")
        ax.set_ylim(0, top)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
    axes[0, 1].legend(frameon=False)
    return figure
