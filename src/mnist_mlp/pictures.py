"""The figures made of images, of digits or of weights: one function a figure, like ``plots``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mnist_mlp.evaluation import OneReads, Result, ScoredImage
from mnist_mlp.plots import COLOURS, GREEN


@dataclass(frozen=True)
class Tile:
    """An image of 784 pixels in a gallery, the text under it, the colour of its frame."""

    pixels: NDArray[np.float32]
    text: str
    frame: str = "#bbbbbb"


def gallery(
    rows: Sequence[Sequence[Tile]],
    names: Sequence[str],
    columns: int = 12,
    lines: int = 2,
    **style: Any,
) -> Figure:
    """Draw rows of images with up to so many lines of text under each; ``names`` stand on the left.

    All in one pair of axes: to arrange sixty of them by their texts takes seconds.
    """
    rows = rows or [[]]
    height = 28 + 2 + (7 + 0.1 * columns) * lines  # of a row in pixels of the images
    figure = Figure(figsize=(11, 0.35 + 11 / (34 * columns + 16) * height * len(rows)))
    ax = figure.add_axes((0.045, 0, 0.95, 1 - 0.33 / figure.get_figheight()))
    for number, (row, name) in enumerate(zip(rows, names, strict=False)):
        top = number * height
        ax.text(-4, top + 14, name, rotation=90, ha="right", va="center", size=9)
        for column, tile in enumerate(row):
            left = 34 * column
            box = (left, left + 28, top + 28, top)
            ax.imshow(tile.pixels.reshape(28, 28), extent=box, **({"cmap": "gray_r"} | style))
            width = 0.8 if tile.frame == Tile.frame else 2.5
            ax.add_patch(Rectangle((left, top), 28, 28, fill=False, ec=tile.frame, lw=width))
            ax.text(
                left + 14, top + 30, tile.text, ha="center", va="top", size=min(8.5, 89 / columns)
            )
    ax.set(xlim=(-3, 34 * columns), ylim=(height * len(rows), -1))
    ax.axis("off")
    return figure


def samples(images: NDArray[np.float32], labels: NDArray[np.int64], title: str) -> Figure:
    """Draw the first two images of every class, a class a column."""
    of_class = [images[labels == digit][:2] for digit in range(10)]
    empty = Tile(np.zeros(784, np.float32), "")
    rows = [
        [Tile(found[k], "") if k < len(found) else empty for found in of_class] for k in range(2)
    ]
    figure = gallery(rows, [""] * 2, columns=10, lines=0, vmin=0, vmax=1)
    figure.suptitle(title, fontsize=13, y=0.995)
    return figure


def top3_images(relu: Result, lrelu: Result, images: NDArray[np.float32], dataset: str) -> Figure:
    """Draw the three best images of every class, a class a column, with p under each.

    A thick green frame and "both" mark an image that is among the three best of both networks.
    """
    rows, names = [], []
    for result, other in ((relu, lrelu), (lrelu, relu)):
        for rank in range(len(result.top3[0])):
            best = [ranked[rank] for ranked in result.top3]
            shared = [
                scored.index in {s.index for s in other.top3[digit]}
                for digit, scored in enumerate(best)
            ]
            rows.append(
                [
                    Tile(
                        images[scored.index],
                        score_label(scored, digit, both),
                        GREEN if both else Tile.frame,
                    )
                    for digit, (scored, both) in enumerate(zip(best, shared, strict=True))
                ]
            )
            names.append(f"{result.label}  #{rank + 1}")
    figure = gallery(rows, names, columns=10, vmin=0, vmax=1)
    title = f"Top 3 score images of every class (a column each), test data ({dataset})"
    figure.suptitle(title, fontsize=13, y=0.995)
    return figure


def score_label(scored: ScoredImage, digit: int, shared: bool) -> str:
    """Return the text under an image: its probability, its number, and what is special about it."""
    if scored.shortfall < 1e-3:
        p = f"p = 1−{scored.shortfall:.1e}"
    else:
        p = f"p = {scored.probability:.4f}"
    notes = ["both"] * shared + [f"true {scored.label}"] * (scored.label != digit)
    return f"{p}\n#{scored.index}" + "".join(f", {note}" for note in notes)


def only_one_reads(
    cases: Sequence[OneReads], images: NDArray[np.float32], names: tuple[str, str], dataset: str
) -> Figure:
    """Draw the images that just one of two networks reads, framed in its colour.

    Under each image: its class, then the answers of ReLU and of LReLU with their probabilities.
    """
    rows, labels = [], []
    for name, colour in zip(names, COLOURS, strict=True):
        mine = [case for case in cases if case.reader == name]
        for start in range(0, len(mine), 12):
            part = mine[start : start + 12]
            rows.append([Tile(images[c.index], answers_of(c, names), colour) for c in part])
            labels.append(f"only {name}")
    figure = gallery(rows, labels, lines=3, vmin=0, vmax=1)
    title = f"Correct in one network only, test data ({dataset})"
    figure.suptitle(title, fontsize=13, y=0.995)
    return figure


def answers_of(case: OneReads, names: tuple[str, str]) -> str:
    """Return an image's class and what both networks answer, on three lines."""
    answers = zip(names, case.answers, case.probabilities, strict=True)
    lines = (f"{name.split('(')[0]} {answer}, {100 * p:.0f}%" for name, answer, p in answers)
    return f"#{case.index}, true {case.label}\n" + "\n".join(lines)


def nobody_reads(
    always: Mapping[int, tuple[int, int, float]], images: NDArray[np.float32], networks: int
) -> Figure:
    """Draw the images that every stored network misreads: ``{image: (true, usual, its share)}``."""
    tiles = [
        Tile(images[image], f"#{image}, true {true}\n{usual} in {100 * share:.0f}%")
        for image, (true, usual, share) in always.items()
    ]
    rows = [tiles[start : start + 12] for start in range(0, len(tiles), 12)]
    figure = gallery(rows, [""] * len(rows), vmin=0, vmax=1)
    title = f"Misread by all {networks} stored networks: the usual wrong answer"
    figure.suptitle(title, fontsize=13, y=0.995)
    return figure


def first_layer(units: Mapping[str, Sequence[tuple[NDArray[np.float32], str]]]) -> Figure:
    """Draw what hidden units weigh the pixels with: ``{label: [(784 weights, text), ...]}``."""
    limit = max(float(np.abs(w).max()) for shown in units.values() for w, _ in shown)
    rows = [[Tile(w, text) for w, text in shown] for shown in units.values()]
    columns = max(len(row) for row in rows)
    style = {"cmap": "RdBu_r", "vmin": -limit / 2, "vmax": limit / 2}
    figure = gallery(rows, list(units), columns, lines=1, **style)
    figure.suptitle("Weights of units of the first hidden layer", fontsize=13, y=0.995)
    return figure
