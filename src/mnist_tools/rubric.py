"""The rubric: what a submitted notebook and its re-run must show, item by item.

Nothing here executes a notebook. What a notebook publishes is compared with what the grader's own
code computes from the logits, weights and data that the re-run's kernel held at the end. A check
is a generator of Korean sentences, one a problem; ``rubric`` is the table of all checks.
"""

import base64
import hashlib
import io
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
from nbformat import NotebookNode
from numpy.typing import NDArray
from PIL import Image
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix

from mnist_mlp.data import ARRAY_SHA256, load
from mnist_mlp.evaluation import log_probabilities
from mnist_tools.files import NOTEBOOKS

HEADINGS = {
    "a": "(a) 10x10 Confusion Matrix (using test data)",
    "b": "(b) Top 3 score images (all classes) using test data",
    "c": "(c) Training Loss graph using train, validation data",
}
TEXT: dict[str, Callable[[Any], list[str]]] = {  # what a section must state about each run
    "a": lambda run: [f"{run['test_accuracy']:.2%}"],
    "b": lambda run: [repr(i["probability"]) for best in run["top3"].values() for i in best],
    "c": lambda run: [f"{run['validation_loss']:.4f}"],
}
NAMES = {"ReLU": r"(?<!L)ReLU", "LReLU": "LReLU"}  # and how a text mentions them
IMPLEMENTATIONS = {"scratch": "numpy", "framework": "torch"}
THRESHOLDS = {  # test accuracy on MNIST
    "scratch": {"ReLU": 0.984, "LReLU": 0.984},
    "framework": {"ReLU": 0.984, "LReLU": 0.983},
}
TOLERANCE = {"test_accuracy": 0.0025, "validation_accuracy": 0.003, "train_accuracy": 0.003}
CURVE_TOLERANCE = {"loss": 0.1, "accuracy": 0.03}  # at any epoch; seeds differ by half of this
HIDING = ("raises-exception", "skip-execution")  # tags
LOSSES = ["train_loss", "validation_loss"]
CURVES = [*LOSSES, "train_accuracy", "validation_accuracy"]
Problems = Iterator[str]


@dataclass(frozen=True)
class Item:
    """A line of the rubric, worth one point if there are no problems."""

    notebook: str
    key: str
    title: str
    problems: list[str]


@dataclass
class Side:
    """A notebook as submitted or as re-run (``label``), or why it could not be read or executed.

    ``found`` has the arrays that the re-run's kernel held at the end.
    """

    label: str
    nb: NotebookNode
    error: str = ""
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def results(self) -> dict[str, Any]:
        """What the notebook publishes; nothing unless there is just one such output."""
        cells = [cell for cell in code_cells(self.nb) if "results" in tags(cell)]
        found = shown(cells, "application/json")
        return found[0] if len(found) == 1 and isinstance(found[0], dict) else {}


def tags(cell: NotebookNode) -> list[str]:
    """Return a cell's tags."""
    return list(cell.metadata.get("tags", []))


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    """Return the cells that an execution numbers."""
    return [cell for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()]


def place(nb: NotebookNode, cell: NotebookNode) -> str:
    """Say where a cell is."""
    return f"{nb.cells.index(cell) + 1}번째 셀({cell.id})"


def shown(cells: list[NotebookNode], kind: str) -> list[Any]:
    """Return the data of a MIME type that cells put out."""
    data = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return [content[kind] for content in data if kind in content]


def figures(cells: list[NotebookNode]) -> list[tuple[str, str]]:
    """Return the figures that cells put out: a base64 PNG and its alternative text each."""
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [
        (output.data["image/png"], output.metadata.get("image/png", {}).get("alt", ""))
        for output in outputs
        if "image/png" in output.get("data", {})
    ]


def order_problems(side: Side) -> Problems:
    """Whether the cells were executed once each, from the first to the last."""
    for number, cell in enumerate(code_cells(side.nb), start=1):
        if cell.execution_count != number:
            yield f"{place(side.nb, cell)}의 실행 번호가 {number}이 아니라 {cell.execution_count}"
            return


def output_problems(side: Side) -> Problems:
    """Errors, stderr, outputs that a viewer does not trust, tags that hide errors or skip cells."""
    for cell in side.nb.cells:
        found = [f"{tag} 태그" for tag in tags(cell) if tag in HIDING]
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                found.append(f"오류 {output.ename}")
            elif output.get("name") == "stderr":
                found.append(f"stderr 출력 {output.text.strip()[:80]!r}")
            data = output.get("data", {})
            found += [f"{kind} 출력" for kind in data if re.search("javascript|widget", kind)]
        yield from (f"{place(side.nb, cell)}에 {what}" for what in found)


def result_problems(side: Side, kind: str) -> Problems:
    """Whether the results are those of this notebook's kind, with two different slopes."""
    results = side.results
    if not results:
        yield "results 태그가 있는 셀에 application/json 출력이 정확히 하나 있어야 함"
        return
    if results["framework"] != IMPLEMENTATIONS[kind]:
        yield f"framework가 {results['framework']!r}"
    if set(results["runs"]) != set(NAMES):
        yield f"runs에 ReLU와 LReLU가 아니라 {', '.join(results['runs']) or '아무것도 없음'}"
    if not 0 < results["recipe"]["alpha"] < 1:
        yield f"LReLU의 기울기가 {results['recipe']['alpha']}"


def section(nb: NotebookNode, letter: str) -> list[NotebookNode]:
    """Return the cells from the assignment's heading to the next of its level."""
    cells: list[NotebookNode] = []
    level = 0
    for cell in nb.cells:
        heading = re.search(r"^(#+) (.*)", cell.source, re.MULTILINE)
        if heading and cell.cell_type == "markdown":
            if cells and len(heading[1]) <= level:
                break
            if not cells and HEADINGS[letter] in " ".join(heading[2].split()):
                level = len(heading[1])
        if level:
            cells.append(cell)
    return cells


def section_problems(side: Side, letter: str, name: str) -> Problems:
    """Whether the section is there, in its place, with a figure that shows the activation."""
    cells, position = section(side.nb, letter), side.nb.cells.index
    if not cells:
        yield f"제목 '{HEADINGS[letter]}'이 없음"
        return
    before = [section(side.nb, earlier) for earlier in HEADINGS if earlier < letter]
    if any(found and position(found[0]) > position(cells[0]) for found in before):
        yield "(a), (b), (c)의 순서가 아님"
    texts = [text for picture, text in figures(cells) if picture.startswith("iVBORw0K")]
    if not texts:
        yield "그림이 없음"
    elif not all(hangul(text) for text in texts):
        yield "그림에 한국어 대체 텍스트가 없음"
    elif not any(re.search(NAMES[name], text) for text in texts):
        yield f"그림의 대체 텍스트에 {name}가 없음"


def commentary_problems(side: Side, letter: str) -> Problems:
    """Whether Korean text with numbers about both activations follows the section's figures."""
    cells = section(side.nb, letter)
    drawing = [number for number, cell in enumerate(cells) if figures([cell])]
    text = markdown(cells[drawing[-1] + 1 :]) if drawing else ""
    if hangul(text) < 50:
        yield "그림 뒤에 한국어 해설이 없음"
    elif not all(re.search(said, text) for said in (*NAMES.values(), r"\d")):
        yield "해설이 두 활성화 함수의 수치를 말하지 않음"


def markdown(cells: list[NotebookNode]) -> str:
    """Return the text of Markdown cells, then of Markdown outputs."""
    sources = [cell.source for cell in cells if cell.cell_type == "markdown"]
    return "\n\n".join(sources + shown(cells, "text/markdown"))


def hangul(text: str) -> int:
    """Count the Korean syllables outside of tables."""
    return len(re.findall("[가-힣]", re.sub(r"(?m)^\s*\|.*$", "", text)))


def confusion_problems(side: Side, name: str) -> Problems:
    """Whether a confusion matrix counts all test images, as the kernel's logits classify them."""
    run, n = side.results["runs"][name], side.results["n_test"]
    matrix = np.array(run["confusion_matrix"])
    if matrix.shape != (10, 10) or matrix.min() < 0 or matrix.sum() != n:
        yield f"혼동 행렬이 테스트 이미지 {n}장을 센 10x10 행렬이 아님"
    if not math.isclose(matrix.trace() / n, run["test_accuracy"]):
        yield f"혼동 행렬의 대각합이 {matrix.trace()}인데 정확도가 {run['test_accuracy']}"
    if side.found:
        predicted = side.found[f"{name} logits"].argmax(axis=1)
        counts = confusion_matrix(side.found["test labels"], predicted, labels=range(10))
        if not np.array_equal(matrix, counts):
            yield "커널에 남은 로짓으로 다시 센 혼동 행렬과 다름"


def top3_problems(side: Side, name: str) -> Problems:
    """Whether three different test images a class are ranked, as the kernel's logits rank them."""
    n = side.results["n_test"]
    scores = log_probabilities(side.found[f"{name} logits"]) if side.found else None
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
    for part in ("train", "validation", "test") if side.found else ():
        z, labels = network(side, name, part), side.found[f"{part} labels"]
        loss = -np.mean(log_softmax(z, axis=1)[np.arange(len(labels)), labels])
        accuracy = np.mean(z.argmax(axis=1) == labels)
        same = math.isclose(run[f"{part}_loss"], loss, rel_tol=1e-3, abs_tol=1e-5)
        if not same or abs(run[f"{part}_accuracy"] - accuracy) * len(labels) > 2:
            yield f"{part} 데이터의 마지막 손실이나 정확도가 가중치로 다시 계산한 것과 다름"


def network(side: Side, name: str, part: str) -> NDArray[np.float64]:
    """Return the logits of a split, computed here from the weights of the 3-layer network."""
    alpha = side.results["recipe"]["alpha"] if name == "LReLU" else 0.0
    x = side.found[f"{part} images"]
    for layer in range(3):
        x = np.maximum(x, alpha * x) if layer else x
        x = x @ side.found[f"{name} W{layer}"] + side.found[f"{name} b{layer}"]
    return x.astype(np.float64)


def model_problems(side: Side) -> Problems:
    """Whether the test data are genuine and the logits those of a 3-layer network's weights."""
    dataset, digits = side.results["dataset"], load("sklearn-digits").test
    genuine = {
        "mnist": [
            ARRAY_SHA256[f"t10k-{file}"] for file in ("images-idx3-ubyte", "labels-idx1-ubyte")
        ],
        "sklearn-digits": [digest(255 * digits.images), digest(digits.labels)],
    }
    test = [digest(255 * side.found["test images"]), digest(side.found["test labels"])]
    if test != genuine.get(dataset, test):
        yield f"테스트 데이터가 {dataset}의 것이 아님"
    for name in NAMES:
        z, logits = network(side, name, "test"), side.found[f"{name} logits"]
        if f"{name} W3" in side.found or not np.allclose(z, logits, 1e-3, 1e-3):
            yield f"{name}의 로짓이 3층 신경망의 가중치로 다시 계산한 것과 다름"


def digest(array: NDArray[Any]) -> str:
    """Return the SHA-256 of numbers from 0 to 255, as bytes like those of the files."""
    return hashlib.sha256(np.rint(array).astype(np.uint8).tobytes()).hexdigest()


def threshold_problems(side: Side, name: str, threshold: float) -> Problems:
    """Whether the logits reach the accuracy that is asked for on MNIST."""
    accuracy = np.mean(side.found[f"{name} logits"].argmax(axis=1) == side.found["test labels"])
    if side.results["dataset"] != "mnist":
        yield f"MNIST가 아니라 {side.results['dataset']}"
    if accuracy < threshold:
        yield f"정확도 {accuracy:.4f}"


def compared_exactly(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether over half of the losses are equal digit for digit: one machine, one arithmetic."""
    try:
        before, after = (
            [side["runs"][name]["history"][key] for name in NAMES for key in LOSSES]
            for side in (old, new)
        )
        return bool(np.mean(np.equal(before, after)) > 0.5)
    except (LookupError, TypeError, ValueError):  # no such curves, which costs other points
        return False


def agreement_problems(submitted: Side, again: Side) -> Problems:
    """Whether two results agree: exactly where the losses do, else within the tolerance."""
    old, new = submitted.results, again.results
    for key in sorted((old | new).keys() - {"runs"}):
        if old.get(key) != new.get(key):
            yield f"{key}: 제출 {old.get(key)}, 재실행 {new.get(key)}"
    for name, after in new["runs"].items():
        before = old["runs"][name]
        keys = [key for key in before | after if before.get(key) != after.get(key)]
        for key in keys if compared_exactly(old, new) else distant(before, after):
            values = f": 제출 {before[key]}, 재실행 {after[key]}" if key in TOLERANCE else ""
            yield f"{name}의 {key}가 재실행과 다름{values}"


def distant(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Name what differs by more than the tolerance; how often a digit occurs may not at all."""
    for key, tolerance in TOLERANCE.items():
        if not abs(before[key] - after[key]) <= tolerance + 1e-12:  # also if one is not a number
            yield key
    for curve in CURVES:
        a, b = (np.array(run["history"][curve], float) for run in (before, after))
        if not (np.abs(a - b) <= CURVE_TOLERANCE[curve.rpartition("_")[2]]).all():
            yield f"학습 곡선 {curve}"
    if not np.array_equal(*(np.sum(run["confusion_matrix"], axis=1) for run in (before, after))):
        yield "혼동 행렬 행의 합"


def text_problems(submitted: Side, again: Side) -> Problems:
    """Whether the submitted outputs are those of these results and, on one machine, this code."""
    for letter, stated in TEXT.items():
        text = markdown(section(submitted.nb, letter))
        for name, run in submitted.results["runs"].items():
            if missing := [number for number in stated(run) if number not in text]:
                yield f"({letter})의 글에 {name}의 {missing[0]} 등 수치 {len(missing)}개가 없음"
    if not compared_exactly(submitted.results, again.results):
        return  # another machine: the numbers in the text are others
    for old, new in zip(code_cells(submitted.nb), code_cells(again.nb), strict=True):
        where = place(submitted.nb, old)
        words = zip_longest(visible(old).split(), visible(new).split(), fillvalue="(없음)")
        if different := next((pair for pair in words if pair[0] != pair[1]), None):
            yield f"{where}의 출력: 제출 {different[0]!r}, 재실행 {different[1]!r}"
        pictures = ([pixels(picture) for picture, _ in figures([cell])] for cell in (old, new))
        if not all(np.array_equal(a, b) for a, b in zip_longest(*pictures)):
            yield f"{where}의 그림이 재실행과 다름"


def visible(cell: NotebookNode) -> str:
    """Return all that a cell's outputs say, but for pictures and results (compared elsewhere).

    Programs cut a stream into outputs in different places; a reader sees it whole.
    """
    streams = "".join(output.get("text", "") for output in cell.outputs)
    data = [pair for output in cell.outputs for pair in sorted(output.get("data", {}).items())]
    said = [str(text) for kind, text in data if kind not in ("image/png", "application/json")]
    return "\n".join([streams, *said, *(text for _, text in figures([cell]))])


def pixels(picture: str) -> NDArray[np.uint8]:
    """Return the pixels of a base64 PNG: files differ by how programs compress them."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGBA"))


CHECKS = {"a": confusion_problems, "b": top3_problems, "c": curve_problems}


def rubric(kind: str, submitted: Side, again: Side) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield each item's key, title and checks; a check is a function and its arguments."""
    each = (submitted, again)
    exactly = compared_exactly(submitted.results, again.results)
    how = "모든 자리를 비교" if exactly else "허용 오차로 비교"
    yield "run", "깨끗한 커널에서 모든 셀이 오류 없이 실행된다", []
    yield "order", "제출본은 위에서 아래로 한 번 실행한 것이다", [(order_problems, submitted)]
    yield "clean", "오류, stderr, 신뢰할 수 없는 출력이 없다", [(output_problems, s) for s in each]
    yield "results", "두 활성화 함수의 결과를 발표한다", [(result_problems, s, kind) for s in each]
    for letter, check in CHECKS.items():
        for name in NAMES:
            checks: list[Any] = [(check, s, name) for s in each]
            checks.append((section_problems, submitted, letter, name))
            yield f"{letter}-{name}", f"{HEADINGS[letter]}: {name}", checks
        text = (commentary_problems, submitted, letter)
        yield f"{letter}-text", f"({letter})의 한국어 해설", [text]
    yield "model", "테스트 데이터와 3층 신경망이 진짜이다", [(model_problems, again)]
    for name, threshold in THRESHOLDS[kind].items():
        title = f"{name}의 MNIST 테스트 정확도가 {threshold:.1%} 이상이다"
        yield f"accuracy-{name}", title, [(threshold_problems, again, name, threshold)]
    yield "agree", f"제출한 결과가 재실행과 같다 ({how})", [(agreement_problems, *each)]
    yield "text", f"제출한 글과 그림이 결과와 같다 ({how})", [(text_problems, *each)]


def problems_of(check: Any, *arguments: Any) -> Problems:
    """Run one check; an error that a submission provokes in it is a problem like any other."""
    sides = [argument for argument in arguments if isinstance(argument, Side)]
    prefix = f"{sides[0].label}: " if len(sides) == 1 else ""
    if any(side.error for side in sides):
        yield f"{prefix}읽거나 실행하지 못하여 확인할 수 없음"
        return
    try:
        for problem in check(*arguments):
            yield prefix + problem
    except Exception as error:
        yield f"{prefix}결과의 형식이 약속과 다름({type(error).__name__}: {error})"


def judge(kind: str, submitted: Side, again: Side) -> list[Item]:
    """Score one notebook: what was submitted against what its re-run gave."""
    items = []
    for key, title, checks in rubric(kind, submitted, again):
        problems = [again.error] if key == "run" and again.error else []
        problems += [problem for check in checks for problem in problems_of(*check)]
        problems = [printable(problem) for problem in dict.fromkeys(problems)]
        items.append(Item(NOTEBOOKS[kind], key, title, problems))
    return items


def printable(text: str) -> str:
    """Shorten a text, and take out what could rewrite the reader's terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:300])
