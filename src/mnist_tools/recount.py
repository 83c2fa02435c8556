"""The checks that compute again what a notebook publishes, with the grader's own code and data.

They start from the logits and weights that the re-run's kernel held at the end, and
``retrain_problems`` from nothing but the published recipe and seed.
"""

import hashlib
import math
import time
from dataclasses import asdict, replace
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix

from mnist_mlp.data import Dataset, Split, load
from mnist_mlp.evaluation import evaluate_run, log_probabilities
from mnist_mlp.notebook import plain, train_side_by_side
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import OnEpoch, Run
from mnist_tools.compare import CURVES, NAMES, Problems, run_differences
from mnist_tools.files import ReportError
from mnist_tools.shown import Side

PARTS = ("train", "validation", "test")
SMALLEST_SLOPE = 0.01  # of LReLU: what Maas et al. used; below, it is ReLU under another name
LARGEST_WIDTH = 4096


def own_data(results: dict[str, Any]) -> Dataset | None:
    """Load the data of the name and seed that results state; None if they state none we know.

    Raises ReportError if it is MNIST and the grader has none.
    """
    name, seed = results.get("dataset"), results.get("seed")
    if name not in ("mnist", "sklearn-digits") or type(seed) is not int or not 0 <= seed < 2**32:
        return None
    data = load(name, seed=seed)
    if data.name != name:
        raise ReportError(f"no {name} here to grade with: set MNIST_DIR to a folder with its files")
    return data


def digest(array: NDArray[Any]) -> str:
    """Return the SHA-256 of images in [0, 1], as their pixels 0 to 255, or of labels."""
    scale = 255 if array.dtype.kind == "f" else 1
    return hashlib.sha256(np.rint(scale * array).astype(np.uint8).tobytes()).hexdigest()


def confusion_problems(side: Side, name: str) -> Problems:
    """Whether a confusion matrix counts all test images, as the kernel's logits classify them."""
    run, n = side.results["runs"][name], side.results["n_test"]
    matrix = np.array(run["confusion_matrix"])
    if matrix.shape != (10, 10) or matrix.min() < 0 or matrix.sum() != n:
        yield f"혼동 행렬이 테스트 이미지 {n}장을 센 10x10 행렬이 아님"
    if not math.isclose(matrix.trace() / n, run["test_accuracy"]):
        yield f"혼동 행렬의 대각합이 {matrix.trace()}인데 정확도가 {run['test_accuracy']}"
    if side.found:
        predicted = side.logits(name).argmax(axis=1)
        counts = confusion_matrix(side.truth.test.labels, predicted, labels=range(10))
        if not np.array_equal(matrix, counts):
            yield "커널에 남은 로짓으로 다시 센 혼동 행렬과 다름"


def top3_problems(side: Side, name: str) -> Problems:
    """Whether three different test images a class are ranked, as the kernel's logits rank them."""
    n = side.results["n_test"]
    scores = log_probabilities(side.logits(name)) if side.found else None
    for digit in range(10):
        best = side.results["runs"][name]["top3"][str(digit)]
        images, claimed = ([i[key] for i in best] for key in ("index", "log_probability"))
        if not len(best) == len(set(images) & set(range(n))) == 3:
            yield f"클래스 {digit}: 서로 다른 테스트 이미지 세 장이 아님"
        if claimed != sorted(claimed, reverse=True):
            yield f"클래스 {digit}: 점수의 순서가 아님"
        if not all(math.isclose(i["probability"], math.exp(i["log_probability"])) for i in best):
            yield f"클래스 {digit}: 확률과 로그 확률이 맞지 않음"
        if scores is not None:
            found, highest = scores[images, digit], np.sort(scores[:, digit])[:-4:-1]
            if not (np.allclose(found, claimed, 1e-6, 0) and np.allclose(found, highest, 1e-9, 0)):
                yield f"클래스 {digit}: 커널에 남은 로짓으로 다시 고른 세 장과 다름"


def curve_problems(side: Side, name: str) -> Problems:
    """Whether the curves are finite, the losses fall, and the ends are those of the weights."""
    run, epochs = side.results["runs"][name], side.results["recipe"]["epochs"]
    for key in CURVES:
        values = run["history"][key]
        if len(values) != epochs + 1 or not np.isfinite(values).all():
            yield f"{key}가 에폭 0부터 {epochs}까지의 유한한 값이 아님"
        if "loss" in key and not values[-1] < values[0]:
            yield f"{key}가 줄지 않음"
        if values[-1] != run[key]:
            yield f"{key}의 마지막 값이 {run[key]}와 다름"
    for part in PARTS if side.found else ():
        split: Split = getattr(side.truth, part)
        z = network(side, name, split.images)
        loss = -np.mean(log_softmax(z, axis=1)[np.arange(len(z)), split.labels])
        accuracy = np.mean(z.argmax(axis=1) == split.labels)
        same = math.isclose(run[f"{part}_loss"], loss, rel_tol=1e-3, abs_tol=1e-5)
        if not same or abs(run[f"{part}_accuracy"] - accuracy) * len(z) > 2:
            yield f"{part} 데이터의 마지막 손실이나 정확도가 가중치로 다시 계산한 것과 다름"


def network(side: Side, name: str, images: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the logits of images, computed here from the weights of the 3-layer network."""
    alpha = side.results["recipe"]["alpha"] if name == "LReLU" else 0.0
    layers = [(side.found[f"{name} W{i}"], side.found[f"{name} b{i}"]) for i in range(3)]
    if max(W.shape[1] for W, _ in layers) > LARGEST_WIDTH:
        raise ValueError(f"층이 유닛 {LARGEST_WIDTH}개보다 넓음")
    chunks = []
    for start in range(0, len(images), 1000):
        x = images[start : start + 1000]
        for i, (W, b) in enumerate(layers):
            x = (np.maximum(x, alpha * x) if i else x) @ W + b
        chunks.append(x)
    return np.concatenate(chunks).astype(np.float64)


def model_problems(side: Side, kind: str) -> Problems:
    """Whether the splits are genuine and the logits those of the 3-layer network as published."""
    results, found = side.results, side.found
    for part in PARTS:
        split: Split = getattr(side.truth, part)
        if results[f"n_{part}"] != len(split.labels):
            yield f"n_{part}가 {len(split.labels)}이 아니라 {results[f'n_{part}']}"
        if list(found[part]) != [digest(split.images), digest(split.labels)]:
            yield f"{part} 데이터가 시드 {results['seed']}의 {results['dataset']}가 아님"
    if kind == "scratch" and found["torch"]:
        yield "NumPy 노트북의 커널이 torch를 불러옴"
    widths = [784, *results["recipe"]["hidden"], 10]
    for name in NAMES:
        if bool(found[f"{name} torch"]) != (kind == "framework"):
            yield f"{name}의 가중치가 {'torch의' if kind == 'framework' else 'NumPy의'} 것이 아님"
        shapes = [found[key].shape for i in range(9) if (key := f"{name} W{i}") in found]
        if len(widths) != 4 or shapes != list(pairwise(widths)):
            yield f"{name}의 가중치가 발표한 3층 신경망 {widths}의 것이 아니라 {shapes}"
        z = network(side, name, side.truth.test.images)
        if not np.allclose(z, side.logits(name), 1e-3, 1e-3):
            yield f"{name}의 로짓이 발표한 기울기와 가중치로 다시 계산한 것과 다름"


def threshold_problems(side: Side, name: str, threshold: float) -> Problems:
    """Whether the logits reach the accuracy that is asked for on MNIST."""
    accuracy = np.mean(side.logits(name).argmax(axis=1) == side.truth.test.labels)
    if side.results["dataset"] != "mnist":
        yield f"MNIST가 아니라 {side.results['dataset']}"
    if accuracy < threshold:
        yield f"정확도 {accuracy:.4f}"


def retrain_problems(side: Side, kind: str, seconds: float) -> Problems:
    """Whether the grader's own code, from the published recipe and seed, comes to the same."""
    fit = import_module(f"mnist_mlp.{kind}").fit  # notebook 01 can be graded without torch
    deadline = time.monotonic() + seconds

    def limited(data: Dataset, recipe: Recipe, seed: int, on_epoch: OnEpoch) -> Run:
        def until_deadline(epoch: int, history: Any) -> None:
            on_epoch(epoch, history)
            if time.monotonic() > deadline:
                raise TimeoutError(f"다시 학습하기가 {seconds:.0f}초 안에 끝나지 않음")

        return fit(data, recipe, seed, until_deadline)

    results = side.results
    lrelu = Recipe(**results["recipe"])
    if max(*lrelu.hidden, 0) > LARGEST_WIDTH or len(lrelu.hidden) != 2:
        raise ValueError(f"은닉층의 폭이 {lrelu.hidden}")
    recipes = {"ReLU": replace(lrelu, alpha=0.0), "LReLU": lrelu}
    print(f"같은 레시피와 시드로 다시 학습합니다: {asdict(lrelu)}, 시드 {results['seed']}")
    runs = train_side_by_side(limited, side.truth, recipes, results["seed"])
    own = {name: plain(evaluate_run(run, side.truth)) for name, run in runs.items()}
    yield from run_differences(results["runs"], own, ("발표", "채점기"))
