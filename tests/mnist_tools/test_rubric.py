"""The rubric gives honest notebooks a full score and names what is wrong with spoiled ones.

Both notebooks are executed twice, once to make a submission and once by the grader; each sabotage
of the table is then judged on a copy of notebook 01.
"""

import base64
import io
import math
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from executed import ROOT, Execution
from nbformat.v4 import new_output
from PIL import Image

from mnist_tools import grade, recount
from mnist_tools.rubric import judge
from mnist_tools.shown import HEADINGS, Side, code_cells, section, shown


def content(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Return the time and the bytes of each file, but for what Python caches."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture(scope="session")
def graded(tmp_path_factory: pytest.TempPathFactory, alone: Execution) -> tuple[Any, int, str]:
    """Both sides of each graded notebook, the exit code, and what was printed."""
    root, sides, printed = tmp_path_factory.mktemp("submission"), {}, io.StringIO()
    for folder in ("notebooks", "src", "data"):
        shutil.copytree(ROOT / folder, root / folder)
    for name, nb in alone.notebooks.items():
        nbformat.write(nb, root / "notebooks" / f"{name}.ipynb")

    def recording(kind: str, old: Side, new: Side, retrain: float) -> Any:
        sides[kind] = old, new
        return judge(kind, old, new, retrain)

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MNIST_MLP_OUTPUT", raising=False)
        patch.setattr(grade, "judge", recording)
        patch.setattr(recount, "threshold_problems", lambda *_: [])  # they are for MNIST
        patch.setattr("sys.stdout", printed)
        before, file = content(root), tmp_path_factory.mktemp("grade") / "grade.json"
        code = grade.main([str(root), "--retrain", "--json", str(file)])
        assert content(root) == before  # grading changes nothing in a submission
    return sides, code, printed.getvalue()


def test_honest_notebooks_get_the_full_score(graded: tuple[Any, int, str]) -> None:
    _, code, printed = graded
    assert code == 0, printed
    assert "합계 39/39" in printed
    assert printed.count("(모든 자리를 비교)") == 4
    assert "만점이어도 채점하지 않은 것" in printed
    assert "다시 학습한 결과와 허용 오차로 비교했다" in printed


@dataclass
class Submission:
    """Notebook 01 as submitted and as re-run, for a sabotage to spoil."""

    old: Side
    new: Side

    def run(self, name: str = "ReLU") -> Any:
        """Return what the submission says about a run."""
        return self.old.results["runs"][name]

    def showing(self, kind: str, letter: str = "", text: str = "") -> list[Any]:
        """Return the cells of a section, or all, that put out a MIME type with a text in it."""
        cells = section(self.old.nb, letter) if letter else code_cells(self.old.nb)
        return [cell for cell in cells if any(text in data for data in shown([cell], kind))]

    def replace(self, old: str, new: str) -> None:
        """Replace a text where it is put out first."""
        output = self.showing("text/markdown", text=old)[0].outputs[0]
        output.data["text/markdown"] = output.data["text/markdown"].replace(old, new, 1)

    def say(self, letter: str, text: str) -> None:
        """Replace all that a section says below its heading."""
        for cell in section(self.old.nb, letter)[1:]:
            cell.source = text if cell.cell_type == "markdown" else cell.source
        for output in chain(*(cell.outputs for cell in self.showing("text/markdown", letter))):
            if "text/markdown" in output.data:
                output.data["text/markdown"] = text

    @property
    def log(self) -> Any:
        """The first cell that prints a line for each epoch."""
        cells = [cell for cell in code_cells(self.old.nb) if cell.outputs]
        return next(cell for cell in cells if "에폭" in cell.outputs[0].get("text", ""))

    def figure(self, letter: str) -> Any:
        """Return a section's first output with a figure."""
        return self.showing("image/png", letter)[0].outputs[0]

    def repaint(self, edit: Callable[[Any], Any], **options: Any) -> None:
        """Edit the pixels of the first figure of (a)."""
        data, edited = self.figure("a").data, io.BytesIO()
        pixels = np.array(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))))
        Image.fromarray(edit(pixels)).save(edited, "PNG", **options)
        data["image/png"] = base64.b64encode(edited.getvalue()).decode()

    def elsewhere(self) -> "Submission":
        """Let the re-run be that of a machine whose rounding differs."""
        for run in self.new.results["runs"].values():
            for curve in ("train_loss", "validation_loss"):
                *values, last = run["history"][curve]
                run["history"][curve] = [*(value * (1 + 1e-7) for value in values), last]
        return self

    def failed(self) -> dict[str, list[str]]:
        """Return the problems of the items without a point, but for the thresholds of MNIST."""
        items = judge("scratch", self.old, self.new)
        return {i.key: i.problems for i in items if i.problems and i.key[:8] != "accuracy"}


@pytest.fixture
def submission(graded: tuple[Any, int, str]) -> Submission:
    return Submission(*deepcopy(graded[0]["scratch"]))


def cut_stream(s: Submission) -> None:
    """Cut a stream as other programs do, within a word too."""
    text = s.log.outputs[0].text
    pieces = (text[:30], text[30:31], text[31:])
    s.log.outputs[:1] = [new_output("stream", name="stdout", text=piece) for piece in pieces]


def rewrite_json(s: Submission) -> None:
    """Change the last digit of a float, as jq does."""
    s.run()["history"]["train_accuracy"][1] *= 1 + 2**-52
    s.run()["top3"]["0"][0]["log_probability"] *= 1 - 2**-52


HONEST: dict[str, Callable[[Submission], object]] = {
    "another machine": Submission.elsewhere,
    "a stream in pieces": cut_stream,
    "JSON written anew": rewrite_json,
    "a picture compressed otherwise": lambda s: s.repaint(lambda pixels: pixels, compress_level=1),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_an_honest_submission_may_show(submission: Submission, name: str) -> None:
    HONEST[name](submission)
    assert submission.failed() == {}


def test_equal_scores_are_in_order(submission: Submission) -> None:
    for image in submission.run()["top3"]["0"]:  # the most certain ones are, in float32
        image |= {"probability": 1.0, "log_probability": -0.0}
    assert list(recount.top3_problems(submission.old, "ReLU")) == []


def test_the_digits_do_not_reach_the_thresholds_of_mnist(submission: Submission) -> None:
    items = judge("scratch", submission.old, submission.new)
    problems = {item.key: item.problems for item in items}
    for name in ("ReLU", "LReLU"):
        first, second = problems[f"accuracy-{name}"]
        assert first == "재실행: MNIST가 아니라 sklearn-digits"
        assert second.startswith("재실행: 정확도 0.9")


def code(name: str, values: dict[str, Any]) -> Callable[[Submission], None]:
    """Let the code publish other values about a run: submission and re-run show the same.

    A key is a path: "top3 0 1 index" is the index of the second best image for the digit 0.
    """

    def spoil(s: Submission) -> None:
        for path, value in values.items():
            *folders, last = (int(k) if k.lstrip("-").isdigit() else k for k in path.split())
            for side in (s.old, s.new):
                place = side.results["runs"][name]
                for key in folders:
                    place = place[str(key) if isinstance(place, dict) else key]
                place[last] = deepcopy(value)

    return spoil


def delete(s: Submission, letter: str) -> None:
    """Delete a section from the code, and execute what is left."""
    for side in (s.old, s.new):
        gone = [cell.id for cell in section(side.nb, letter)]
        side.nb.cells = [cell for cell in side.nb.cells if cell.id not in gone]
        for number, cell in enumerate(code_cells(side.nb), start=1):
            cell.execution_count = number


def move(s: Submission, letter: str, before: str) -> None:
    moved = section(s.old.nb, letter)
    rest = [cell for cell in s.old.nb.cells if cell not in moved]
    start = rest.index(section(s.old.nb, before)[0])
    s.old.nb.cells = rest[:start] + moved + rest[start:]


def reword(s: Submission, letter: str) -> None:
    cell = section(s.old.nb, letter)[0]
    cell.source = cell.source.replace("Training", "My")


def tiny_change(s: Submission) -> None:
    """Other verdicts behind one loss that differs a little, as another machine's would."""
    s.run()["history"]["train_loss"][0] += 1e-12
    s.showing("text/markdown", "c")[-1].outputs[0].data["text/markdown"] += " ReLU가 훨씬 낫다."


def perfect(s: Submission) -> dict[str, Any]:
    """Return a confusion matrix without a mistake, and its accuracy."""
    matrix = np.diag(np.bincount(s.new.truth.test.labels))
    return {"confusion_matrix": matrix.tolist(), "test_accuracy": 1.0}


def one_run_twice(s: Submission) -> None:
    code("LReLU", s.run())(s)
    relu = {key: array for key, array in s.new.found.items() if key.startswith("ReLU ")}
    s.new.found.update({f"L{key}": array for key, array in relu.items()})


def one_run(s: Submission) -> None:
    for side in (s.old, s.new):
        del side.results["runs"]["LReLU"]


def forged_logits(s: Submission) -> None:
    s.new.found["ReLU logits"] = 9 * np.eye(10, dtype=np.float32)[s.new.truth.test.labels]


def found(**values: Any) -> Callable[[Submission], None]:
    """Let the kernel hold other values at its end; "_" in a name stands for " "."""
    return lambda s: s.new.found.update({key.replace("_", " "): v for key, v in values.items()})


def recipe(**values: Any) -> Callable[[Submission], None]:
    """Let the code publish another recipe."""

    def spoil(s: Submission) -> None:
        for side in (s.old, s.new):
            side.results["recipe"].update(values)

    return spoil


def no_figure(s: Submission) -> None:
    for cell in s.showing("image/png", "c"):
        cell.outputs = []


def retouch(pixels: Any) -> Any:
    pixels[400:430, 500:520] = 255 - pixels[400:430, 500:520]  # about one digit
    pixels[400:430, 500:520, 3] = 255
    return pixels


BOMB = np.zeros((8000, 8000), np.uint8)  # a file of 60 KB, with alpha and colours 256 MB


def put_out(*arguments: Any, **values: Any) -> Callable[[Submission], None]:
    return lambda s: s.log.outputs.append(new_output(*arguments, **values))


def clear(s: Submission) -> None:
    for cell in code_cells(s.old.nb):
        cell.outputs, cell.execution_count = [], None


def two_results(s: Submission) -> None:
    first, *_, results = code_cells(s.old.nb)
    first.outputs, first.metadata["tags"] = deepcopy(results.outputs), ["results"]


EMPTY = "ReLU와 LReLU는 0.5이다. 좋은 결과이다. " * 9
ENGLISH = "See the figure above: ReLU 99 %, LReLU 98 %."
VAGUE = "그래프를 보면 손실이 잘 줄어들었음을 알 수 있다. " * 5
LRELU = "results a-LReLU b-LReLU c-LReLU"
EVERYTHING = f"order {LRELU} a-ReLU b-ReLU c-ReLU a-text b-text c-text agree text"
# What is done, the items that lose their point ("...": and perhaps more), and what is said.
SABOTAGES: list[tuple[Callable[[Submission], object], str, str]] = [
    (lambda s: delete(s, "b"), "b-ReLU b-LReLU b-text text", HEADINGS["b"]),
    (lambda s: reword(s, "c"), "c-ReLU c-LReLU c-text text", HEADINGS["c"]),
    (lambda s: move(s, "a", "c"), "b-ReLU b-LReLU order text", "(a), (b), (c)의 순서가 아님"),
    (lambda s: s.replace(f"{s.run()['test_accuracy']:.2%}", "99.99%"), "text", "99.99%"),
    (lambda s: s.log.outputs[0].update(text="에포크 0"), "text", "의 출력: 제출 '에포크'"),
    (lambda s: s.replace("self.W", "self.V"), "text", "self.V"),
    (lambda s: s.elsewhere().say("a", EMPTY), "text", "(a)의 글에 ReLU의"),
    (lambda s: s.elsewhere().say("b", EMPTY), "text", "(b)의 글에 ReLU의"),
    (lambda s: s.elsewhere().say("c", EMPTY), "text", "(c)의 글에 ReLU의"),
    (tiny_change, "agree text", "ReLU의 history가 다름"),
    (lambda s: s.run().update(perfect(s)), "agree text", "test_accuracy가 다름: 제출 1.0"),
    (lambda s: s.run()["confusion_matrix"][3].reverse(), "agree ...", "ReLU의 confusion_matrix가"),
    (lambda s: s.run()["confusion_matrix"][3].append(1), "agree a-ReLU text", "형식이 약속과 다름"),
    (lambda s: s.run()["confusion_matrix"][3].__setitem__(3, 99), "agree a-ReLU ...", "360장을 센"),
    (lambda s: s.elsewhere().run()["confusion_matrix"].reverse(), "agree a-ReLU ...", "행의 합"),
    (code("ReLU", {"top3 4 0 log_probability": -1.0}), "b-ReLU", "클래스 4: 점수의 순서가 아님"),
    (code("ReLU", {"top3 7 0 index": 5}), "b-ReLU", "클래스 7: 커널에 남은 로짓으로"),
    (code("ReLU", {"top3 0 1 index": 360}), "b-ReLU", "클래스 0: 서로 다른 테스트 이미지 세 장이"),
    (code("ReLU", {"top3 0 1 index": None}), "b-ReLU", "클래스 0: 서로 다른 테스트 이미지 세 장이"),
    (code("ReLU", {"top3 0 1 probability": 0.5}), "b-ReLU", "확률과 로그 확률이 맞지 않음"),
    (code("ReLU", {"top3 0 1 log_probability": 10**400}), "b-ReLU text", "OverflowError"),
    (code("LReLU", {"test_accuracy": 0.9999}), "a-LReLU c-LReLU text", "정확도가 0.9999"),
    (lambda s: code("ReLU", perfect(s))(s), "a-ReLU c-ReLU text", "다시 센 혼동 행렬과 다름"),
    (forged_logits, "a-ReLU model ...", "ReLU의 로짓이 발표한 기울기와 가중치로"),
    (found(train=["test", "test"]), "model", "train 데이터가 시드 0의 sklearn-digits가 아님"),
    (found(torch=True), "model", "torch를 불러옴"),
    (found(LReLU_torch=True), "model", "LReLU의 가중치가 NumPy의 것이 아님"),
    (recipe(hidden=[512, 128]), "model", "발표한 3층 신경망 [784, 512, 128, 10]의 것이 아니라"),
    (recipe(alpha=1e-9), "results model c-LReLU", "LReLU의 기울기가 1e-09"),
    (recipe(alpha=0.12), "model c-LReLU", "LReLU의 로짓이 발표한 기울기와"),
    (one_run_twice, "model ...", "LReLU의 로짓이"),  # its weights belong to another slope
    (one_run, f"{LRELU} ...", "ReLU와 LReLU가 아니라 ReLU"),
    (code("ReLU", {"history train_loss 2": math.nan}), "c-ReLU agree", "유한한 값이 아님"),
    (code("ReLU", {"history validation_loss 0": 0.0}), "c-ReLU", "validation_loss가 줄지 않음"),
    (code("ReLU", {"history train_loss": [2.0, 1.0]}), "c-ReLU", "에폭 0부터 3"),
    (code("ReLU", {"train_accuracy": 1.0}), "c-ReLU", "마지막 값이 1.0와 다름"),
    (code("ReLU", {"history": "all good"}), "c-ReLU agree text", "형식이 약속과 다름"),
    (code("ReLU", {"test_loss": -5.0}), "c-ReLU", "test 데이터의 마지막 손실이나 정확도"),
    (
        code("ReLU", {"validation_loss": 0.2, "history validation_loss -1": 0.2}),
        "c-ReLU",
        "validation 데이터의 마지막",
    ),
    (
        code("ReLU", {"train_accuracy": 0.5, "history train_accuracy -1": 0.5}),
        "c-ReLU",
        "train 데이터의 마지막",
    ),
    (
        lambda s: s.elsewhere().run()["history"].update(validation_accuracy=[0.1, 0.2, 0.3, 0.9]),
        "agree c-ReLU",
        "ReLU의 학습 곡선 validation_accuracy가 다름",
    ),
    (lambda s: s.say("a", ENGLISH), "a-text text", "해설이"),
    (lambda s: s.say("c", VAGUE), "c-text text", "수치를 말하지 않음"),
    (
        lambda s: s.figure("a").metadata["image/png"].pop("alt"),
        "a-ReLU a-LReLU text",
        "한국어 대체 텍스트가 없음",
    ),
    (no_figure, "c-ReLU c-LReLU c-text text", "그림이 없음"),
    (lambda s: s.repaint(retouch), "text", "의 그림이 재실행과 다름"),
    (lambda s: s.repaint(np.zeros_like), "a-ReLU a-LReLU text", "그림이 비었거나 너무 작음"),
    (lambda s: s.repaint(lambda p: p[:50]), "a-ReLU a-LReLU text", "그림이 비었거나 너무 작음"),
    (lambda s: s.repaint(lambda _: BOMB), "a-ReLU a-LReLU text", "그림이 너무 큼: 8000 x 8000"),
    (put_out("display_data", {"text/html": "<b onclick='x'>"}), "clean text", "실행되는 HTML"),
    (lambda s: s.log.metadata.update(tags=["raises-exception"]), "clean", "raises-exception 태그"),
    (put_out("stream", name="stderr", text="\x1b[2J" + "x" * 999), "clean text", "에 stderr 출력"),
    (put_out("error", ename="KeyError\x1b[2J" * 99, evalue=""), "clean", "오류 KeyError?[2J"),
    (put_out("display_data", {"application/javascript": "1"}), "clean text", "javascript 출력"),
    (lambda s: s.log.update(execution_count=99), "order", "이 아니라 99"),
    (clear, EVERYTHING, "정확히 하나"),
    (two_results, "results ...", "정확히 하나"),
]


@pytest.mark.parametrize(("spoil", "items", "message"), SABOTAGES)
def test_a_sabotage_costs_its_points(
    submission: Submission, spoil: Callable[[Submission], object], items: str, message: str
) -> None:
    spoil(submission)
    failed = submission.failed()
    expected = set(items.split()) - {"..."}
    assert expected <= set(failed)
    assert expected == set(failed) or "..." in items
    said = [problem for key in expected for problem in failed[key]]
    assert message in "\n".join(said)
    assert all(problem.isprintable() and len(problem) <= 300 for problem in said)


RETRAINED: dict[str, tuple[Callable[[Submission], object], str]] = {
    "other curves with a true end": (
        code("ReLU", {"history validation_accuracy 1": 0.9, "history validation_loss 1": 0.3}),
        "ReLU의 history가 다름",
    ),
    "another recipe": (recipe(lr=0.01), "학습 곡선"),
    "more epochs than it says": (recipe(epochs=2), "다름"),
    "an endless recipe": (recipe(epochs=10**9), "초 안에 끝나지 않음"),
    "a huge recipe": (recipe(hidden=[10**6, 10**6]), "은닉층의 폭이 (1000000, 1000000)"),
    "no recipe": (recipe(lr="x"), "Recipe.lr"),
}


@pytest.mark.parametrize("name", RETRAINED)
def test_training_again_finds_what_was_not_trained_as_published(
    submission: Submission, name: str
) -> None:
    spoil, message = RETRAINED[name]
    spoil(submission)
    *_, item = judge(
        "scratch", submission.old, submission.new, retrain=1 if "endless" in name else 60
    )
    assert item.key == "retrain"
    assert message in "\n".join(item.problems)
