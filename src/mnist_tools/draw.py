"""``reports/draw.html``: a page on which both networks of notebook 01 read what one draws.

Its weights are 8-bit numbers with one scale for each row of W, that is for each input: a quarter of
the size. How many answers that changes is measured here and said on the page.
"""

import base64
import copy
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from mnist_mlp import over_seeds, scratch, study, weights
from mnist_mlp.data import Dataset, DatasetError, load
from mnist_mlp.evaluation import log_probabilities, top_k_per_class
from mnist_mlp.layers import Affine
from mnist_mlp.study import StoredRun, StudyError
from mnist_mlp.weights import NAMES, WeightsError
from mnist_tools.files import ReportError, write_atomically
from mnist_tools.html_page import content_security_policy

FILE, TITLE = "draw.html", "숫자를 그려 보기"
TEMPLATES = Path(__file__).parent / "templates"
CHANGED = 10  # answers to test images that the 8-bit weights may change
MOST = 60  # examples of one kind, so that the page of badly trained networks stays small


def build(file: Path, folder: Path, others: Mapping[str, str]) -> dict[str, str]:
    """Write the page from the weights that notebook 01 has saved, if it has.

    Parameters
    ----------
    others : the pages that it links to, ``{file name: title}``.

    Returns
    -------
    The link to the page in the same form; empty without a page, and then a line says why.
    """
    if not file.exists():
        return {}
    try:
        saved = weights.read(file)
        dataset = load("mnist" if saved.dataset != "sklearn-digits" else saved.dataset)
        if dataset.name != saved.dataset:
            raise ReportError(f"the networks learned {saved.dataset}, but there is {dataset.name}")
        html = page(file, dataset, study.read(), others)
    except (WeightsError, DatasetError, StudyError, ReportError) as error:
        print(f"알림: {folder / FILE}을 만들지 못했습니다: {error}")
        return {}
    write_atomically(folder / FILE, html)
    print(folder / FILE, flush=True)
    return {FILE: TITLE}


# ---- networks


def quantised(layer: Affine) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return q (D, M) and s (D,) with ``W`` about ``s_d q_dm``: each row's largest is 127 or -127.

    A scale for each column would change more answers: the pixels' rows differ most in size.
    """
    scale = np.abs(layer.W).max(axis=1) / 127
    scale[scale == 0] = 1
    return np.rint(layer.W / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def rounded(model: scratch.MLP) -> scratch.MLP:
    """Return the network that the page has: each W rounded to what its 8-bit numbers say."""
    model = copy.deepcopy(model)
    for layer in model.affine:
        q, scale = quantised(layer)
        layer.W = q * scale[:, None]
    return model


def kept_answers(small: scratch.MLP, images: NDArray[np.float32], logits: NDArray[Any]) -> int:
    """Count the images that a rounded network reads as the original, whose logits are given.

    Raises
    ------
    ReportError
        If it changes more than ``CHANGED`` answers.
    """
    kept = int(np.sum(small.predict(images) == logits.argmax(axis=1)))
    if len(images) - kept > CHANGED:
        raise ReportError(f"8-bit weights keep only {kept:,} of {len(images):,} answers")
    return kept


def packed(values: NDArray[Any]) -> str:
    """Return an array's bytes, little-endian, in base64."""
    return base64.b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode()


def network_data(model: scratch.MLP, alpha: float, label: str) -> dict[str, Any]:
    """Return a network as the page's script reads it."""
    layers = []
    for layer in model.affine:
        q, scale = quantised(layer)
        layers.append({"W": packed(q), "scale": packed(scale), "b": packed(layer.b)})
    return {"label": label, "alpha": alpha, "layers": layers}


# ---- examples


@dataclass(frozen=True)
class Example:
    """An image that the page offers: ``number`` is its place among all, ``label`` the truth."""

    number: int
    description: str
    label: int | None = None


def chosen_images(
    logits: Mapping[str, NDArray[Any]], labels: NDArray[np.int64], never: Iterable[int] | None
) -> dict[str, list[int]]:
    """Choose test images: the best of each class, those that one network alone reads, and nobody.

    ``never`` are those that no network of the study reads; None if there are no such networks.
    """
    relu, lrelu = (logits[name].argmax(axis=1) == labels for name in NAMES)
    best = {name: top_k_per_class(logits[name], labels) for name in NAMES}
    top3 = [image.index for digit in range(10) for name in NAMES for image in best[name][digit]]
    return {
        "top3": list(dict.fromkeys(top3)),
        "ReLU": np.flatnonzero(relu & ~lrelu).tolist(),
        "LReLU": np.flatnonzero(lrelu & ~relu).tolist(),
        "nobody": np.flatnonzero(~relu & ~lrelu).tolist() if never is None else list(never),
    }


STEPS = np.linspace(0, 1, 60)[:, None]
SCRIBBLES = {  # name: points (n, 2) of a line, right and down
    "소용돌이": STEPS * np.hstack([np.cos(15 * STEPS), np.sin(15 * STEPS)]),
    "지그재그": np.array([[0, 0], [4, 1], [0, 2], [4, 3], [0, 4]], float),
    "물결": np.hstack([6 * STEPS, np.sin(12 * STEPS)]),
    "세모": np.array([[0, 2], [1, 0], [2, 2], [0, 2]], float),
    "가위표": np.array([[0, 0], [2, 2], [1, 1], [2, 0], [0, 2]], float),
    "네모": np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], float),
}


def scribble(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw a line, 2.2 pixels wide, as MNIST was made: in 20 x 20, centred by mass in 28 x 28."""
    low, high = points.min(axis=0), points.max(axis=0)
    points = (points - (low + high) / 2) * (20 - 2.2) / (high - low).max()
    centres = np.stack(np.meshgrid(np.arange(28), np.arange(28)), axis=-1).reshape(-1, 1, 2) + 0.5
    middle = np.zeros(2)
    for _ in range(2):  # the second time with its centre of mass in the middle
        start, line = points[:-1] - middle + 14, np.diff(points, axis=0)
        along = ((centres - start) * line).sum(axis=2) / (line**2).sum(axis=1)
        nearest = start + np.clip(along, 0, 1)[..., None] * line
        distance = np.linalg.norm(centres - nearest, axis=2).min(axis=1)
        ink = np.clip(2.2 / 2 + 0.5 - distance, 0, 1)
        middle = middle + (ink[:, None] * centres[:, 0]).sum(axis=0) / ink.sum() - 14
    return ink


# ---- the page


def page(file: Path, dataset: Dataset, runs: Sequence[StoredRun], others: Mapping[str, str]) -> str:
    """Return the page with the networks of a weights file, whose test images ``dataset`` has.

    Raises
    ------
    WeightsError
        If the file is none.
    ReportError
        If the page's script cannot do what these networks do.
    """
    recipes = weights.read(file).recipes
    if any(recipe.activation != "relu" for recipe in recipes.values()):
        raise ReportError("the page knows ReLU and LReLU only")
    models = {name: scratch.load(file, name) for name in NAMES}
    small = {name: rounded(model) for name, model in models.items()}
    images, labels = dataset.test.images, dataset.test.labels
    logits = {name: model.logits(images) for name, model in models.items()}
    agree = {name: kept_answers(small[name], images, logits[name]) for name in NAMES}
    again = over_seeds.repeats(runs, "numpy", dataset.name, recipes)
    never: dict[str, Any] = {"always": None, "networks": 0}
    if again:
        never = over_seeds.never_read(again, {})
    chosen = chosen_images(logits, labels, never["always"])
    scribbles = np.array([scribble(points) for points in SCRIBBLES.values()], np.float32)
    groups = numbered({kind: indices[:MOST] for kind, indices in chosen.items()}, labels)
    shown = [index for indices in chosen.values() for index in indices[:MOST]]
    pixels = np.rint(255 * np.concatenate([images[shown], scribbles])).astype(np.uint8)
    networks = {n: network_data(models[n], r.alpha, r.label) for n, r in recipes.items()}
    return rendered(
        data=json.dumps({"networks": networks, "images": packed(pixels)}),
        others=others,
        networks=networks,
        groups=groups,
        counts={kind: len(indices) for kind, indices in chosen.items()},
        dataset=dataset.name,
        study_networks=never["networks"],
        sure={name: sure_answers(model, scribbles) for name, model in small.items()},
        agree=agree,
        n_test=len(labels),
    )


def numbered(
    chosen: Mapping[str, Sequence[int]], labels: NDArray[np.int64]
) -> dict[str, list[Example]]:
    """Return the examples by kind, numbered through; the scribbles, which have no truth, last."""
    number = itertools.count()
    groups = {
        kind: [
            Example(next(number), f"정답 {labels[i]}, 테스트 이미지 {i:,}번", int(labels[i]))
            for i in indices
        ]
        for kind, indices in chosen.items()
    }
    return groups | {"scribbles": [Example(next(number), f"낙서, {name}") for name in SCRIBBLES]}


def sure_answers(model: scratch.MLP, images: NDArray[np.float32]) -> int:
    """Count the images to which a network gives a digit with a probability of 99 % or more."""
    return int(np.sum(log_probabilities(model.logits(images)).max(axis=1) >= np.log(0.99)))


def rendered(**values: Any) -> str:
    """Fill in the template; its policy lets the page's own scripts run, and no other."""
    templates = [TEMPLATES / "draw", TEMPLATES / "report"]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates), autoescape=True, undefined=jinja2.StrictUndefined
    )
    html = environment.get_template("draw.html.j2").render(title=TITLE, policy="[policy]", **values)
    scripts = re.findall("<script>(.*?)</script>", html, re.DOTALL)
    return html.replace("[policy]", content_security_policy(*scripts), 1)
