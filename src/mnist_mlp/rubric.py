"""The rubric: what a submitted notebook and its re-run must show, item by item.

Nothing here executes a notebook. What a notebook publishes is compared with what this module
computes itself from the logits, weights and data that the re-run's kernel held at the end.
"""

import base64
import hashlib
import io
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from typing import Any

import numpy as np
from matplotlib.image import imread
from nbformat import NotebookNode
from numpy.typing import NDArray

from mnist_mlp.data import ARRAY_SHA256, load
from mnist_mlp.files import NOTEBOOKS

HEADINGS = {
    "a": "(a) 10x10 Confusion Matrix (using test data)",
    "b": "(b) Top 3 score images (all classes) using test data",
    "c": "(c) Training Loss graph using train, validation data",
}
NAMES = {"ReLU": re.compile(r"(?<!L)ReLU"), "LReLU": re.compile("LReLU")}
FRAMEWORKS = {"scratch": "numpy", "framework": "torch"}
THRESHOLDS = {  # test accuracy on MNIST
    "scratch": {"ReLU": 0.984, "LReLU": 0.984},
    "framework": {"ReLU": 0.984, "LReLU": 0.983},
}
TOLERANCE = {"test_accuracy": 0.0025, "validation_accuracy": 0.003, "train_accuracy": 0.003}
CURVE_TOLERANCE = {"loss": 0.1, "accuracy": 0.03}  # at any epoch; seeds differ by half of this
Problems = Iterator[str]


@dataclass(frozen=True)
class Item:
    """A line of the rubric, worth one point; full marks if there are no problems."""

    notebook: str
    key: str
    title: str
    problems: list[str]
    applies: bool = True


@dataclass
class Rerun:
    """A notebook after execution in a clean kernel, and what that kernel held at the end."""

    nb: NotebookNode
    error: str = ""
    found: dict[str, Any] = field(default_factory=dict)


def tags(cell: NotebookNode) -> list[str]:
    """Return a cell's tags."""
    return list(cell.metadata.get("tags", []))


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    """Return the cells that an execution numbers."""
    return [cell for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()]


def place(nb: NotebookNode, index: int) -> str:
    """Say where a cell is."""
    return f"{index + 1}번째 셀({nb.cells[index].get('id', '')})"


def published(nb: NotebookNode) -> dict[str, Any]:
    """Return the results that a notebook publishes; nothing unless there is just one output."""
    found = [
        output.data["application/json"]
        for cell in code_cells(nb)
        if "results" in tags(cell)
        for output in cell.outputs
        if "application/json" in output.get("data", {})
    ]
    return found[0] if len(found) == 1 and isinstance(found[0], dict) else {}


def listed(check: Callable[..., Problems], *arguments: Any) -> list[str]:
    """Return a check's problems; results without the promised form are one too."""
    try:
        return list(check(*arguments))
    except (LookupError, TypeError, ValueError, AttributeError, OSError, SyntaxError) as error:
        return [f"결과의 형식이 약속과 다름({type(error).__name__}: {error})"]


def order_problems(nb: NotebookNode) -> Problems:
    """Whether the cells were executed once each, from the first to the last."""
    for number, cell in enumerate(code_cells(nb), start=1):
        if cell.execution_count != number:
            where = place(nb, nb.cells.index(cell))
            yield f"{where}의 실행 번호가 {number}이 아니라 {cell.execution_count}"
            return


def output_problems(nb: NotebookNode) -> Problems:
    """Errors, stderr, outputs that a viewer does not trust, tags that hide errors or skip cells."""
    for index, cell in enumerate(nb.cells):
        for tag in {"raises-exception", "skip-execution"} & set(tags(cell)):
            yield f"{place(nb, index)}에 {tag} 태그가 있음"
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                yield f"{place(nb, index)}에 오류 {output.ename}"
            elif output.get("name") == "stderr":
                yield f"{place(nb, index)}에 stderr 출력 {output.text.strip()[:80]!r}"
            for kind in output.get("data", {}):
                if "javascript" in kind or "widget" in kind:
                    yield f"{place(nb, index)}에 {kind} 출력"


def result_problems(results: dict[str, Any], kind: str) -> Problems:
    """Whether the results are those of two different networks of this notebook's framework."""
    if not results:
        yield "results 태그가 있는 셀에 application/json 출력이 정확히 하나 있어야 함"
        return
    if results["framework"] != FRAMEWORKS[kind]:
        yield f"framework가 {results['framework']!r}"
    if set(results["runs"]) != set(NAMES):
        yield f"runs에 ReLU와 LReLU가 아니라 {', '.join(results['runs']) or '아무것도 없음'}"
    elif results["runs"]["ReLU"]["history"] == results["runs"]["LReLU"]["history"]:
        yield "ReLU와 LReLU의 학습 곡선이 똑같음"
    if not 0 < results["recipe"]["alpha"] < 1:
        yield f"LReLU의 기울기가 {results['recipe']['alpha']}"


def section(nb: NotebookNode, letter: str) -> tuple[int, list[NotebookNode]]:
    """Return where the section with the assignment's heading begins, and its cells."""
    heads = {}
    for index, cell in enumerate(nb.cells):
        if cell.cell_type == "markdown" and (
            match := re.search(r"^(#+) (.*)", cell.source, re.MULTILINE)
        ):
            heads[index] = (len(match[1]), " ".join(match[2].split()))
    for start, (level, text) in heads.items():
        if HEADINGS[letter] in text:
            ends = [i for i, (other, _) in heads.items() if i > start and other <= level]
            return start, nb.cells[start : min(ends, default=len(nb.cells))]
    return -1, []


def figures(cell: NotebookNode) -> list[NotebookNode]:
    """Return a cell's outputs that are figures."""
    return [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]


def section_problems(nb: NotebookNode, letter: str, activation: str) -> Problems:
    """Whether the section is there, in its place, with a figure that shows the activation."""
    start, cells = section(nb, letter)
    if not cells:
        yield f"제목 '{HEADINGS[letter]}'이 없음"
        return
    if any(section(nb, earlier)[0] > start for earlier in HEADINGS if earlier < letter):
        yield "(a), (b), (c)의 순서가 아님"
    shown = [output for cell in cells for output in figures(cell)]
    if not any(base64.b64decode(output.data["image/png"])[:4] == b"\x89PNG" for output in shown):
        yield "그림이 없음"
        return
    alt = [output.metadata.get("image/png", {}).get("alt", "") for output in shown]
    if not all(hangul(text) for text in alt):
        yield "그림에 한국어 대체 텍스트가 없음"
    if not any(NAMES[activation].search(text) for text in alt):
        yield f"그림의 대체 텍스트에 {activation}가 없음"


def hangul(text: str) -> int:
    """Count the Korean syllables outside of tables."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("|"))
    return sum("가" <= letter <= "힣" for line in lines for letter in line)


def commentary_problems(nb: NotebookNode, letter: str) -> Problems:
    """Whether Korean text with numbers about both activations follows the section's figures."""
    _, cells = section(nb, letter)
    last = max((i for i, cell in enumerate(cells) if figures(cell)), default=-1)
    text = markdown(cells[last + 1 :])
    if hangul(text) < 50:
        yield "그림 뒤에 한국어 해설이 없음"
    elif not (all(name.search(text) for name in NAMES.values()) and re.search(r"\d", text)):
        yield "해설이 두 활성화 함수의 수치를 말하지 않음"


def markdown(cells: list[NotebookNode]) -> str:
    """Return the text of Markdown cells and outputs."""
    texts = []
    for cell in cells:
        texts += [cell.source] if cell.cell_type == "markdown" else []
        texts += [
            output.get("data", {}).get("text/markdown", "") for output in cell.get("outputs", [])
        ]
    return "\n\n".join(texts)


def confusion_problems(results: dict[str, Any], activation: str, labels: Any) -> Problems:
    """Whether a confusion matrix counts every test image, and its trace is the accuracy."""
    run, n = results["runs"][activation], results["n_test"]
    matrix = np.array(run["confusion_matrix"])
    if matrix.shape != (10, 10) or matrix.dtype.kind != "i" or matrix.min() < 0:
        yield "혼동 행렬이 10x10 장수가 아님"
        return
    if matrix.sum() != n:
        yield f"혼동 행렬의 합이 {matrix.sum()}, 테스트 이미지는 {n}장"
    if labels is not None:
        counts = np.bincount(labels, minlength=10)
        for digit in np.flatnonzero(matrix.sum(axis=1) != counts):
            yield f"혼동 행렬 {digit}행의 합이 {matrix[digit].sum()}, 라벨은 {counts[digit]}장"
    if not math.isclose(np.trace(matrix) / n, run["test_accuracy"], abs_tol=1e-12):
        yield f"대각합은 {np.trace(matrix)}/{n}, 테스트 정확도는 {run['test_accuracy']}"


def top3_problems(results: dict[str, Any], activation: str, labels: Any) -> Problems:
    """Whether three different test images a class are ranked by their scores."""
    for digit in range(10):
        best = results["runs"][activation]["top3"][str(digit)]
        index, score = ([entry[key] for entry in best] for key in ("index", "log_probability"))
        if len(set(index)) != 3 or len(index) != 3:
            yield f"클래스 {digit}: 서로 다른 세 장이 아님"
        if not all(isinstance(i, int) and 0 <= i < results["n_test"] for i in index):
            yield f"클래스 {digit}: 테스트 이미지의 번호가 아님"
        if not all(a >= b for a, b in pairwise(score)):
            yield f"클래스 {digit}: 점수의 순서가 아님"
        for entry in best:
            if not math.isclose(entry["probability"], math.exp(entry["log_probability"])):
                yield f"클래스 {digit}: 영상 {entry['index']}의 확률과 로그 확률이 맞지 않음"


def curve_problems(results: dict[str, Any], activation: str, labels: Any) -> Problems:
    """Whether the curves have a finite value for each epoch, and the losses fall."""
    run, epochs = results["runs"][activation], results["recipe"]["epochs"]
    for key in ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy"):
        values = run["history"][key]
        if len(values) != epochs + 1:
            yield f"{key}의 길이가 {len(values)}, 에폭 {epochs}회이면 {epochs + 1}"
        if not all(math.isfinite(value) for value in values):
            yield f"{key}에 유한하지 않은 값이 있음"
        elif "loss" in key and not values[-1] < values[0]:
            yield f"{key}가 줄지 않음"
        if values[-1] != run[key]:
            yield f"{key}의 마지막 값이 {run[key]}와 다름"


CHECKS = {"a": confusion_problems, "b": top3_problems, "c": curve_problems}


def recomputed_problems(
    letter: str, results: dict[str, Any], activation: str, found: dict[str, Any]
) -> Problems:
    """Whether (a), (b) and the ends of (c) are what this module computes from the kernel's arrays.

    (a) and (b) from the logits; losses and accuracies from the weights and the data.
    """
    run, logits = results["runs"][activation], found[f"{activation} logits"].astype(np.float64)
    if letter == "a":
        counts = np.zeros((10, 10), int)
        np.add.at(counts, (found["test labels"], logits.argmax(axis=1)), 1)
        if counts.tolist() != run["confusion_matrix"]:
            yield "커널에 남은 로짓으로 다시 센 혼동 행렬과 다름"
    elif letter == "b":
        for digit, best in run["top3"].items():
            z = logits[:, int(digit)]
            with np.errstate(over="ignore"):
                rest = np.exp(np.delete(logits, int(digit), axis=1) - z[:, None]).sum(axis=1)
            score = -np.log1p(rest)
            claimed = score[[entry["index"] for entry in best]]
            same = np.allclose(claimed, [e["log_probability"] for e in best], rtol=1e-6, atol=0)
            if not same or not np.allclose(claimed, np.sort(score)[:-4:-1], rtol=1e-9, atol=0):
                yield f"클래스 {digit}: 커널에 남은 로짓으로 다시 고른 세 장과 다름"
    else:
        for part in ("train", "validation", "test"):
            z, labels = network(results, activation, found, part), found[f"{part} labels"]
            loss = np.mean(np.log(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)))
            loss += np.mean(z.max(axis=1) - z[np.arange(len(labels)), labels])
            accuracy = np.mean(z.argmax(axis=1) == labels)
            same = math.isclose(run[f"{part}_loss"], loss, rel_tol=1e-3, abs_tol=1e-5)
            if not same or abs(run[f"{part}_accuracy"] - accuracy) * len(labels) > 2:
                yield f"{part} 데이터의 마지막 손실이나 정확도가 가중치로 다시 계산한 것과 다름"


def network(
    results: dict[str, Any], activation: str, found: dict[str, Any], part: str
) -> NDArray[np.float64]:
    """Return the logits of a split, computed here from the weights of the 3-layer network."""
    alpha = results["recipe"]["alpha"] if activation == "LReLU" else 0.0
    x = found[f"{part} images"]
    for layer in range(3):
        x = np.maximum(x, alpha * x) if layer else x
        x = x @ found[f"{activation} W{layer}"] + found[f"{activation} b{layer}"]
    return x.astype(np.float64)


def model_problems(results: dict[str, Any], found: dict[str, Any]) -> Problems:
    """Whether the test data are genuine and the logits those of a 3-layer network's weights."""
    images, labels = found["test images"], found["test labels"]
    if results["dataset"] == "mnist":
        for array, file in ((np.rint(images * 255), "images-idx3"), (labels, "labels-idx1")):
            digest = hashlib.sha256(array.astype(np.uint8).tobytes()).hexdigest()
            if digest != ARRAY_SHA256[f"t10k-{file}-ubyte"]:
                yield f"테스트 데이터가 MNIST의 t10k-{file}와 다름"
    elif results["dataset"] == "sklearn-digits":
        test = load("sklearn-digits").test
        if not (np.array_equal(images, test.images) and np.array_equal(labels, test.labels)):
            yield "테스트 데이터가 scikit-learn의 숫자와 다름"
    for name in NAMES:
        z = network(results, name, found, "test")
        if f"{name} W3" in found or not np.allclose(z, found[f"{name} logits"], 1e-3, 1e-3):
            yield f"{name}의 로짓이 3층 신경망의 가중치로 다시 계산한 것과 다름"


def threshold_problems(
    results: dict[str, Any], activation: str, found: dict[str, Any], threshold: float
) -> Problems:
    """Whether the logits reach the accuracy that is asked for on MNIST."""
    accuracy = np.mean(found[f"{activation} logits"].argmax(axis=1) == found["test labels"])
    if results["dataset"] != "mnist":
        yield f"MNIST가 아니라 {results['dataset']}"
    if accuracy < threshold:
        yield f"정확도 {accuracy:.4f}"


def same_curves(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether every digit of the learning curves is the same: the same arithmetic, one machine."""
    curves = [{n: run["history"] for n, run in r["runs"].items()} for r in (first, second)]
    return curves[0] == curves[1]


def agreement_problems(submitted: dict[str, Any], again: dict[str, Any]) -> Problems:
    """Whether two results agree: exactly where the curves do, else within the tolerance."""
    for key in (submitted | again).keys() - {"runs"}:
        if submitted.get(key) != again.get(key):
            yield f"{key}: 제출 {submitted.get(key)}, 재실행 {again.get(key)}"
    exact = same_curves(submitted, again)
    for name, new in again["runs"].items():
        old = submitted["runs"][name]
        for key in new if exact else TOLERANCE:
            same = (
                old[key] == new[key]
                if exact
                else abs(old[key] - new[key]) <= TOLERANCE[key] + 1e-12
            )
            if not same:  # also where one is not a number
                values = f": 제출 {old[key]}, 재실행 {new[key]}" if "accuracy" in key else ""
                yield f"{name}의 {key}가 재실행과 다름{values}"
        for kind, tolerance in CURVE_TOLERANCE.items():
            for curve in (f"train_{kind}", f"validation_{kind}"):
                before, after = (np.array(run["history"][curve], float) for run in (old, new))
                if before.shape != after.shape or not (np.abs(before - after) <= tolerance).all():
                    yield f"{name}의 학습 곡선 {curve}가 재실행과 다름"


def text_problems(submitted: NotebookNode, again: NotebookNode) -> Problems:
    """Whether the submitted outputs are those of these results and, on one machine, this code."""
    results = published(submitted)
    text = {letter: markdown(section(submitted, letter)[1]) for letter in HEADINGS}
    for name, run in results["runs"].items():
        if f"{run['test_accuracy']:.2%}" not in text["a"]:
            yield f"(a)의 글에 {name}의 테스트 정확도 {run['test_accuracy']:.2%}가 없음"
        for digit, best in run["top3"].items():
            if not all(repr(entry["probability"]) in text["b"] for entry in best):
                yield f"(b)의 표에 {name}가 클래스 {digit}에 매긴 확률이 없음"
        if f"{run['validation_loss']:.4f}" not in text["c"]:
            yield f"(c)의 글에 {name}의 마지막 검증 손실 {run['validation_loss']:.4f}가 없음"
    if not same_curves(results, published(again)):
        return  # another machine: the numbers in the text are others
    for old, new in zip_longest(code_cells(submitted), code_cells(again)):
        if old is None or new is None or old.source != new.source:
            yield "셀의 수나 순서가 재실행과 다름"
            return
        where = place(submitted, submitted.cells.index(old))
        nothing: Any = {}
        for a, b in zip_longest(old.outputs, new.outputs, fillvalue=nothing):
            words = zip_longest(visible(a).split(), visible(b).split(), fillvalue="(없음)")
            if different := next((pair for pair in words if pair[0] != pair[1]), None):
                yield f"{where}의 출력: 제출 {different[0]!r}, 재실행 {different[1]!r}"
                break
            if not same_picture(*(o.get("data", {}).get("image/png", "") for o in (a, b))):
                yield f"{where}의 그림이 재실행과 다름"


def visible(output: Any) -> str:
    """Return all that an output says, but for pictures and the results (compared elsewhere)."""
    data = [text for kind, text in sorted(output.get("data", {}).items()) if "text/" in kind]
    alt = output.get("metadata", {}).get("image/png", {}).get("alt", "")
    return "\n".join([output.get("text", ""), *data, alt])


def same_picture(first: str, second: str) -> bool:
    """Whether two base64 PNGs look the same; font rendering may differ a little, no digit may."""
    if first == second:
        return True
    if not (first and second):
        return False
    a: Any = imread(io.BytesIO(base64.b64decode(first)))
    b: Any = imread(io.BytesIO(base64.b64decode(second)))
    if a.shape != b.shape:
        return False
    difference = np.abs(a - b).max(axis=-1)
    rows, columns = (size // 20 for size in difference.shape)
    blocks = difference[: rows * 20, : columns * 20].reshape(rows, 20, columns, 20)
    return bool(blocks.mean(axis=(1, 3)).max() < 0.1)


def judge(kind: str, submitted: NotebookNode, again: Rerun, overridden: bool = False) -> list[Item]:
    """Score one notebook: what was submitted against what its re-run gave.

    ``overridden``: the grader chose parameters, so that neither the thresholds nor the comparison
    apply where they are other ones than the submission's.
    """
    items: list[Item] = []
    old, new = published(submitted), published(again.nb)
    failed = ["재실행이 실패하여 확인할 수 없음"] if again.error else []

    def add(key: str, title: str, problems: list[str], applies: bool = True) -> None:
        items.append(Item(NOTEBOOKS[kind], key, title, problems, applies))

    def again_only(check: Callable[..., Problems], *arguments: Any) -> list[str]:
        return failed or [f"재실행: {problem}" for problem in listed(check, *arguments)]

    def both(check: Callable[..., Problems], *arguments: Any) -> list[str]:
        before = [f"제출본: {problem}" for problem in listed(check, old, *arguments)]
        return before + again_only(check, new, *arguments)

    same_task = all(old.get(key) == new.get(key) for key in ("dataset", "recipe", "seed"))
    comparable = same_task or not overridden or not old
    labels = again.found.get("test labels") if comparable else None
    add("run", "깨끗한 커널에서 모든 셀이 오류 없이 실행된다", [again.error] if again.error else [])
    add("order", "제출본은 위에서 아래로 한 번 실행한 것이다", listed(order_problems, submitted))
    outputs = [*listed(output_problems, submitted), *listed(output_problems, again.nb)]
    add("clean", "오류, stderr, 신뢰할 수 없는 출력이 없다", list(dict.fromkeys(outputs)))
    add("results", "서로 다른 두 망의 결과를 발표한다", both(result_problems, kind))
    for letter, check in CHECKS.items():
        for name in NAMES:
            problems = listed(section_problems, submitted, letter, name) + both(check, name, labels)
            problems += again_only(recomputed_problems, letter, new, name, again.found)
            add(f"{letter}-{name}", f"{HEADINGS[letter]}: {name}", list(dict.fromkeys(problems)))
        add(
            f"{letter}-text",
            f"({letter})의 한국어 해설",
            listed(commentary_problems, submitted, letter),
        )
    add(
        "model",
        "테스트 데이터와 3층 신경망이 진짜이다",
        again_only(model_problems, new, again.found),
    )
    on_mnist = not overridden or (same_task and new.get("dataset") == "mnist")
    for name, threshold in THRESHOLDS[kind].items():
        problems = again_only(threshold_problems, new, name, again.found, threshold)
        add(f"accuracy-{name}", f"{name}의 MNIST 테스트 정확도가 {threshold:.1%} 이상이다",
            problems, on_mnist)  # fmt: skip
    add("agree", "제출한 결과가 재실행과 허용 오차 안에서 같다",
        failed or listed(agreement_problems, old, new), comparable)  # fmt: skip
    add("text", "제출한 글과 그림의 수치가 결과와 같다",
        failed or listed(text_problems, submitted, again.nb), comparable)  # fmt: skip
    return items
