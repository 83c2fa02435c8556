"""The rubric gives honest notebooks a full score and names what is wrong with spoiled ones.

The grading of both notebooks is shared (``executed.py``); each sabotage of the table is then judged
on a copy of notebook 01.
"""

import base64
import io
import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from executed import Grading
from nbformat.v4 import new_output
from PIL import Image

from mnist_tools import shown
from mnist_tools.rubric import judge
from mnist_tools.shown import HEADINGS, Side, code_cells, section


def test_honest_notebooks_get_the_full_score(graded: Grading) -> None:
    assert graded.code == 0, graded.printed
    assert "합계 39/39" in graded.printed
    assert graded.printed.count("(모든 자리를 비교)") == 4
    assert "만점이어도 채점하지 않은 것" in graded.printed
    assert "다시 학습한 결과와 허용 오차로 비교했다" in graded.printed


@dataclass
class Submission:
    """Notebook 01 as submitted and as re-run, for a sabotage to spoil."""

    old: Side
    new: Side

    def showing(self, kind: str, letter: str) -> list[Any]:
        """Return the outputs of a section that have data of a MIME type."""
        return shown.outputs(section(self.old.nb, letter), kind)

    @property
    def log(self) -> Any:
        """The cell that prints a line for each epoch."""
        return next(cell for cell in self.old.nb.cells if cell.id == "train")

    def failed(self) -> dict[str, list[str]]:
        """Return the problems of the items without a point, but for the thresholds of MNIST."""
        items = judge("scratch", self.old, self.new)
        return {i.key: i.problems for i in items if i.problems and i.key[:8] != "accuracy"}


Spoil = Callable[[Submission], object]


@pytest.fixture
def submission(graded: Grading) -> Submission:
    return Submission(*deepcopy(graded.sides["scratch"]))


# ---- what may be done to a submission


def both(*spoils: Spoil) -> Spoil:
    return lambda s: [spoil(s) for spoil in spoils]


def elsewhere(s: Submission) -> None:
    """Let the re-run be that of a machine whose rounding differs."""
    for run in s.new.results["runs"].values():
        for curve in ("train_loss", "validation_loss"):
            *values, last = run["history"][curve]
            run["history"][curve] = [*(value * (1 + 1e-7) for value in values), last]


def publish(path: str, value: Any, by_code: bool = True) -> Spoil:
    """Publish another value, by the code (submission and re-run show the same) or without it.

    "ReLU top3 0 1 index" is the index of ReLU's second best image for the digit 0; a function
    makes the value from what was there.
    """

    def spoil(s: Submission) -> None:
        *folders, last = path.split()
        for side in (s.old, s.new)[: 1 + by_code]:
            place: Any = side.results["runs"] if "LU " in path else side.results
            for key in folders:
                place = place[int(key) if isinstance(place, list) else key]
            at = int(last) if isinstance(place, list) else last
            place[at] = value(place[at]) if callable(value) else deepcopy(value)

    return spoil


def claim(path: str, value: Any) -> Spoil:
    return publish(path, value, by_code=False)


def say(letter: str, text: str) -> Spoil:
    """Replace all that a section says below its heading."""

    def spoil(s: Submission) -> None:
        for cell in section(s.old.nb, letter)[1:]:
            cell.source = text if cell.cell_type == "markdown" else cell.source
        for output in s.showing("text/markdown", letter):
            output.data["text/markdown"] = text

    return spoil


def found(**values: Any) -> Spoil:
    """Let the kernel hold other values at its end; "_" in a name stands for " "."""
    return lambda s: s.new.found.update({key.replace("_", " "): v for key, v in values.items()})


def put_out(*arguments: Any, **values: Any) -> Spoil:
    return lambda s: s.log.outputs.append(new_output(*arguments, **values))


def repaint(edit: Callable[[Any], Any], **options: Any) -> Spoil:
    """Edit the pixels of the first figure of (a)."""

    def spoil(s: Submission) -> None:
        data, edited = s.showing("image/png", "a")[0].data, io.BytesIO()
        pixels = np.array(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))))
        Image.fromarray(edit(pixels)).save(edited, "PNG", **options)
        data["image/png"] = base64.b64encode(edited.getvalue()).decode()

    return spoil


def cut_stream(s: Submission) -> None:
    """Cut a stream as other programs do, within a word too."""
    text = s.log.outputs[0].text
    pieces = (text[:30], text[30:31], text[31:])
    s.log.outputs[:1] = [new_output("stream", name="stdout", text=piece) for piece in pieces]


HONEST: dict[str, Spoil] = {
    "another machine": elsewhere,
    "a stream in pieces": cut_stream,
    "a picture compressed otherwise": repaint(lambda pixels: pixels, compress_level=1),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_an_honest_submission_may_show(submission: Submission, name: str) -> None:
    HONEST[name](submission)
    assert submission.failed() == {}


def test_the_digits_do_not_reach_the_thresholds_of_mnist(submission: Submission) -> None:
    items = judge("scratch", submission.old, submission.new)
    problems = {item.key: item.problems for item in items}
    for name in ("ReLU", "LReLU"):
        first, second = problems[f"accuracy-{name}"]
        assert first == "재실행: MNIST가 아니라 sklearn-digits"
        assert second.startswith("재실행: 정확도 0.9")


BOMB = np.zeros((8000, 8000), np.uint8)  # a file of 60 KB, with alpha and colours 256 MB
EMPTY = "ReLU와 LReLU는 0.5이다. 좋은 결과이다. " * 9
A, B, C = (f"{letter}-ReLU {letter}-LReLU" for letter in "abc")
EVERYTHING = f"results {A} {B} {C} a-text b-text c-text agree text"
# What is done, the items that lose their point ("...": and perhaps more), and what is said.
SABOTAGES: list[tuple[Spoil, str, str]] = [
    # cells and outputs
    (lambda s: section(s.old.nb, "b")[0].update(source="#"), f"{B} b-text text", HEADINGS["b"]),
    (lambda s: s.old.nb.cells.reverse(), "order ...", "의 실행 번호가 1이 아니라"),
    (lambda s: s.log.update(execution_count=99), "order", "이 아니라 99"),
    (lambda s: [c.update(outputs=[]) for c in code_cells(s.old.nb)], EVERYTHING, "정확히 하나"),
    (lambda s: s.log.update(code_cells(s.old.nb)[-1]), "results ...", "정확히 하나"),
    (lambda s: s.log.metadata.update(tags=["raises-exception"]), "clean", "raises-exception 태그"),
    (put_out("display_data", {"text/html": "<b onclick='x'>"}), "clean text", "실행되는 HTML"),
    (put_out("display_data", {"application/javascript": "1"}), "clean text", "javascript 출력"),
    (put_out("stream", name="stderr", text="\x1b[2J" + "x" * 999), "clean text", "에 stderr 출력"),
    (put_out("error", ename="KeyError\x1b[2J" * 99, evalue=""), "clean", "오류 KeyError?[2J"),
    # text and figures
    (put_out("stream", name="stdout", text="끝"), "text", "의 출력: 제출 '끝', 재실행 '(없음)'"),
    *((both(elsewhere, say(k, EMPTY)), "text", f"({k})의 글에 ReLU의") for k in "abc"),
    (say("a", "See the figure above: ReLU 99 %, LReLU 98 %."), "a-text text", "해설이 없음"),
    (say("c", "손실이 잘 줄어들었음을 알 수 있다. " * 5), "c-text text", "수치를 말하지 않음"),
    (lambda s: [o.data.clear() for o in s.showing("image/png", "c")], f"{C} ...", "그림이 없음"),
    (lambda s: s.showing("image/png", "a")[0].metadata.clear(), f"{A} text", "대체 텍스트가 없음"),
    (repaint(lambda pixels: pixels[::-1]), "text", "의 그림이 재실행과 다름"),
    (repaint(np.zeros_like), f"{A} text", "그림이 비었거나 너무 작음"),
    (repaint(lambda pixels: pixels[:50]), f"{A} text", "그림이 비었거나 너무 작음"),
    (repaint(lambda _: BOMB), f"{A} text", "그림이 너무 큼: 8000 x 8000"),
    # results that the re-run does not show
    (claim("ReLU history train_loss 0", lambda x: x + 1e-12), "agree", "ReLU의 history가 다름"),
    (both(elsewhere, claim("ReLU test_accuracy", 1.0)), "agree a-ReLU text", "다름: 제출 1.0"),
    (claim("ReLU confusion_matrix 3 0", [1]), "agree a-ReLU text", "형식이 약속과 다름"),
    (claim("ReLU confusion_matrix 3 3", 99), "agree a-ReLU ...", "360장을 센"),
    (both(elsewhere, claim("ReLU confusion_matrix 3 3", 99)), "agree a-ReLU ...", "행의 합"),
    (both(elsewhere, claim("ReLU history train_accuracy 1", 0)), "agree", "학습 곡선 train_acc"),
    # results that the logits and weights do not give
    (publish("ReLU confusion_matrix", lambda m: m[::-1]), "a-ReLU ...", "다시 센 혼동 행렬과 다름"),
    (publish("LReLU test_accuracy", 0.9999), "a-LReLU c-LReLU text", "정확도가 0.9999"),
    (publish("ReLU top3 4 0 log_probability", -1.0), "b-ReLU", "클래스 4: 점수의 순서가 아님"),
    (publish("ReLU top3 7 0 index", 5), "b-ReLU", "클래스 7: 커널에 남은 로짓으로"),
    (publish("ReLU top3 0 1 index", 360), "b-ReLU", "클래스 0: 서로 다른 테스트 이미지 세 장이"),
    (publish("ReLU top3 0 1 probability", 0.5), "b-ReLU", "확률과 로그 확률이 맞지 않음"),
    (publish("ReLU top3 0 1 log_probability", 10**400), "b-ReLU text", "OverflowError"),
    (publish("ReLU history train_loss 2", math.nan), "c-ReLU ...", "유한한 값이 아님"),
    (publish("ReLU history train_loss", [2.0, 1.0]), "c-ReLU", "에폭 0부터 3"),
    (publish("ReLU history validation_loss 0", 0.0), "c-ReLU", "validation_loss가 줄지 않음"),
    (publish("ReLU train_accuracy", 1.0), "c-ReLU", "마지막 값이 1.0와 다름"),
    (publish("ReLU test_loss", -5.0), "c-ReLU", "test 데이터의 마지막 손실이나 정확도"),
    (publish("runs", lambda runs: {"ReLU": runs["ReLU"]}), "results ...", "LReLU가 아니라 ReLU"),
    (publish("framework", "torch"), "results", "framework가 'torch'"),
    # what was not trained, or not on this data
    (lambda s: s.new.logits("ReLU").fill(0), "a-ReLU model ...", "ReLU의 로짓이 발표한 기울기와"),
    (found(train=["test", "test"]), "model", "train 데이터가 시드 0의 sklearn-digits가 아님"),
    (found(torch=True), "model", "torch를 불러옴"),
    (found(LReLU_torch=True), "model", "LReLU의 가중치가 NumPy의 것이 아님"),
    (publish("recipe hidden", [512, 128]), "model", "발표한 3층 신경망 [784, 512, 128, 10]의 것이"),
    (publish("recipe alpha", 1e-9), "results model c-LReLU", "LReLU의 기울기가 1e-09"),
    (publish("recipe alpha", 0.12), "model c-LReLU", "LReLU의 로짓이 발표한 기울기와"),
]


@pytest.mark.parametrize(("spoil", "items", "message"), SABOTAGES)
def test_a_sabotage_costs_its_points(
    submission: Submission, spoil: Spoil, items: str, message: str
) -> None:
    spoil(submission)
    failed = submission.failed()
    expected = set(items.split()) - {"..."}
    assert expected <= set(failed)
    assert expected == set(failed) or "..." in items
    said = [problem for key in expected for problem in failed[key]]
    assert message in "\n".join(said)
    assert all(problem.isprintable() and len(problem) <= 300 for problem in said)


RETRAINED = [
    (publish("ReLU history validation_loss 1", 0.3), 60, "ReLU의 history가 다름"),  # a true end
    (publish("recipe epochs", 10**9), 1, "초 안에 끝나지 않음"),
    (publish("recipe hidden", [10**6] * 2), 60, "은닉층의 폭이 (1000000, 1000000)"),
]


@pytest.mark.parametrize(("spoil", "seconds", "message"), RETRAINED)
def test_training_again_finds_what_was_not_trained_as_published(
    submission: Submission, spoil: Spoil, seconds: float, message: str
) -> None:
    spoil(submission)
    *_, item = judge("scratch", submission.old, submission.new, seconds)
    assert item.key == "retrain"
    assert message in "\n".join(item.problems)
