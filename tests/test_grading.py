"""The grader gives a full score to the repository's notebooks and finds sabotage.

Both notebooks are executed twice, once to make a submission and once by the grader; most sabotage
is then judged on copies of those. Stand-ins of one cell show what the clean kernel catches.
"""

import base64
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from executed import PARAMETERS, Execution
from matplotlib import image
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from mnist_mlp import grading, rubric
from mnist_mlp.files import NOTEBOOKS

ROOT = Path(__file__).parents[1]
OPTIONS = ["--parameters", *(f"{name}={value}" for name, value in PARAMETERS.items())]
RERUN = grading.rerun


def copy_of_repository(target: Path) -> Path:
    for folder in ("notebooks", "src"):
        shutil.copytree(ROOT / folder, target / folder)
    (target / "data").mkdir()
    shutil.copy(ROOT / "data" / "study.csv", target / "data")
    return target


def digest(folder: Path) -> dict[str, str]:
    """Every file and folder below ``folder``; a file with its content and time."""
    return {
        str(path): f"{path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        if path.is_file()
        else ""
        for path in folder.rglob("*")
        if "__pycache__" not in str(path)
    }


@dataclass
class Graded:
    """A graded submission, and what the command line said."""

    submitted: dict[str, NotebookNode]
    again: dict[str, rubric.Rerun]
    code: int
    report: dict[str, Any]
    printed: str
    untouched: bool


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory, alone: Execution) -> Graded:
    root = copy_of_repository(tmp_path_factory.mktemp("submission"))
    again: dict[str, rubric.Rerun] = {}

    def recording(scratch: Path, name: str, *arguments: Any) -> rubric.Rerun:
        again[name] = RERUN(scratch, name, *arguments)
        return again[name]

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MNIST_MLP_OUTPUT", raising=False)
        patch.setattr(grading, "rerun", recording)
        for name, nb in alone.notebooks.items():
            nbformat.write(nb, root / "notebooks" / f"{name}.ipynb")
        before = digest(root)
        file = tmp_path_factory.mktemp("grade") / "grade.json"
        printed = io.StringIO()
        patch.setattr("sys.stdout", printed)
        code = grading.main([str(root), "--json", str(file), *OPTIONS])
        untouched = digest(root) == before
    return Graded(
        alone.notebooks, again, code, json.loads(file.read_text()), printed.getvalue(), untouched
    )


def test_full_score_and_the_submission_is_not_touched(graded: Graded) -> None:
    assert graded.code == 0, graded.printed
    assert graded.untouched
    assert graded.report["score"] == graded.report["full"] == 32
    items = graded.report["items"]
    # MNIST's thresholds do not apply to the digits, and nothing else is left out.
    not_applied = {item["key"] for item in items if not item["applies"]}
    assert not_applied == {"accuracy-ReLU", "accuracy-LReLU"}
    assert len(items) == 36
    assert "해당 없음" in graded.printed
    assert "허용 오차" in graded.printed
    assert "합계 32/32" in graded.printed


@dataclass
class Sabotage:
    """Notebook 01 as submitted and as re-run, for a test to spoil."""

    nb: NotebookNode
    again: rubric.Rerun

    def cell(self, name: str) -> Any:
        return next(cell for cell in self.nb.cells if cell.id == name)

    def remove(self, *names: str) -> None:
        self.nb.cells = [cell for cell in self.nb.cells if cell.id not in names]

    def results(self) -> Any:
        return rubric.published(self.nb)

    def edit_text(self, name: str, old: str, new: str) -> None:
        data = self.cell(name).outputs[0].data
        assert old in data["text/markdown"]
        data["text/markdown"] = data["text/markdown"].replace(old, new, 1)

    def both(self, edit: Callable[[Any], None]) -> None:
        """Edit what the code publishes: submission and re-run show the same."""
        edit(rubric.published(self.nb))
        edit(rubric.published(self.again.nb))

    def failed(self, overridden: bool = True) -> dict[str, str]:
        items = rubric.judge("scratch", self.nb, self.again, overridden)
        return {i.key: "\n".join(i.problems) for i in items if i.problems and i.applies}


@pytest.fixture
def spoiled(graded: Graded) -> Sabotage:
    name = NOTEBOOKS["scratch"]
    again = graded.again[name]
    copy = rubric.Rerun(deepcopy(again.nb), again.error, dict(again.found))
    return Sabotage(deepcopy(graded.submitted[name]), copy)


def test_an_unspoiled_copy_fails_nothing(spoiled: Sabotage) -> None:
    assert spoiled.failed() == {}


def test_without_the_override_the_digits_do_not_reach_the_threshold(spoiled: Sabotage) -> None:
    failed = spoiled.failed(overridden=False)
    assert set(failed) == {"accuracy-ReLU", "accuracy-LReLU"}
    assert "MNIST가 아니라 sklearn-digits" in failed["accuracy-ReLU"]


def test_deleted_section(spoiled: Sabotage) -> None:
    spoiled.remove("b", "b-source", "b-figure", "b-table-relu", "b-table-lrelu", "b-commentary")
    for number, cell in enumerate(rubric.code_cells(spoiled.nb), start=1):
        cell.execution_count = number
    failed = spoiled.failed()
    assert set(failed) == {"b-ReLU", "b-LReLU", "b-text", "text"}
    assert "(b) Top 3 score images" in failed["b-ReLU"]


def test_reworded_heading(spoiled: Sabotage) -> None:
    cell = spoiled.cell("c")
    cell.source = cell.source.replace("Training Loss graph", "Loss graph")
    assert set(spoiled.failed()) == {"c-ReLU", "c-LReLU", "c-text", "text"}


def test_sections_out_of_order(spoiled: Sabotage) -> None:
    cells = [cell for cell in spoiled.nb.cells if cell.id in ("a", "a-figure", "a-commentary")]
    spoiled.remove("a", "a-figure", "a-commentary")
    start = next(i for i, cell in enumerate(spoiled.nb.cells) if cell.id == "c")
    spoiled.nb.cells[start:start] = cells
    failed = spoiled.failed()
    assert {"order", "b-ReLU", "b-LReLU", "text"} == set(failed)
    assert "순서" in failed["b-ReLU"]


def test_edited_number_in_a_table(spoiled: Sabotage) -> None:
    accuracy = f"{spoiled.results()['runs']['ReLU']['test_accuracy']:.2%}"
    spoiled.edit_text("evaluate", accuracy, "99.99%")
    failed = spoiled.failed()
    assert set(failed) == {"text"}
    assert "(evaluate)" in failed["text"]
    assert "99.99%" in failed["text"]
    assert accuracy in failed["text"]


def test_edited_line_of_the_training_log(spoiled: Sabotage) -> None:
    output = spoiled.cell("train").outputs[0]
    output.text = output.text.replace("손실 0", "손실 1", 1)
    failed = spoiled.failed()
    assert set(failed) == {"text"}
    assert "(train)" in failed["text"]


def test_edited_accuracy_is_caught_on_another_machine_too(spoiled: Sabotage) -> None:
    for run in rubric.published(spoiled.again.nb)["runs"].values():
        run["history"]["train_loss"][1] *= 1 + 1e-7  # as another BLAS would
    assert spoiled.failed() == {}
    accuracy = f"{spoiled.results()['runs']['LReLU']['test_accuracy']:.2%}"
    text = spoiled.cell("a-commentary").outputs[0].data
    text["text/markdown"] = text["text/markdown"].replace(accuracy, "99.99%")
    failed = spoiled.failed()
    assert set(failed) == {"text"}
    assert accuracy in failed["text"]


def test_results_of_other_code(spoiled: Sabotage) -> None:
    """Outputs of a better network, pasted into a notebook whose code gives another."""
    run = spoiled.results()["runs"]["ReLU"]
    run["confusion_matrix"] = np.diag(np.bincount(spoiled.again.found["test labels"])).tolist()
    run["history"]["test_accuracy"] = run["test_accuracy"] = 1.0
    failed = spoiled.failed()
    assert set(failed) == {"agree", "text"}
    assert "ReLU의 test_accuracy" in failed["agree"]


def test_source_shown_is_not_the_source_that_ran(spoiled: Sabotage) -> None:
    spoiled.edit_text("affine-source", "self.W", "self.V")
    failed = spoiled.failed()
    assert set(failed) == {"text"}
    assert "(affine-source)" in failed["text"]


def test_other_parameters_than_those_submitted(spoiled: Sabotage) -> None:
    spoiled.results()["recipe"]["lr"] = 0.01
    assert set(spoiled.failed(overridden=False)) - {"accuracy-ReLU", "accuracy-LReLU"} == {"agree"}
    assert spoiled.failed() == {}, "a grader that overrides parameters compares nothing"


@pytest.mark.parametrize("move", [(0, 1), (3, 3)], ids=["within its row", "added"])
def test_edited_confusion_cell(spoiled: Sabotage, move: tuple[int, int]) -> None:
    matrix = spoiled.results()["runs"]["LReLU"]["confusion_matrix"]
    matrix[3][move[0]] -= move[0] != move[1]
    matrix[3][move[1]] += 1
    if matrix[3][move[0]] < 0:
        matrix[3][move[0]], matrix[3][move[1]] = 1, 0
    failed = spoiled.failed()
    assert "agree" in failed
    assert "LReLU의 confusion_matrix" in failed["agree"]
    if move[0] == move[1]:
        assert "3행의 합" in failed["a-LReLU"]
        assert set(failed) == {"a-LReLU", "agree"}


def test_swapped_top3(spoiled: Sabotage) -> None:
    def swap(results: Any) -> None:
        best = results["runs"]["ReLU"]["top3"]["4"]
        best[0], best[1] = best[1], best[0]

    spoiled.both(swap)
    failed = spoiled.failed()
    assert set(failed) == {"b-ReLU"}
    assert "클래스 4: 점수의 순서가 아님" in failed["b-ReLU"]


def test_top3_of_other_images(spoiled: Sabotage) -> None:
    """In order and consistent in itself, but not the three with the highest scores."""

    def edit(results: Any) -> None:
        best = results["runs"]["LReLU"]["top3"]["7"]
        taken = {entry["index"] for entry in best}
        best[0]["index"] = next(i for i in range(results["n_test"]) if i not in taken)

    spoiled.both(edit)
    failed = spoiled.failed()
    assert set(failed) == {"b-LReLU"}
    assert "클래스 7: 커널에 남은 로짓" in failed["b-LReLU"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("index", 360, "테스트 이미지의 번호"),
        ("index", None, "클래스 0"),
        ("probability", 0.5, "확률과 로그 확률"),
    ],
)
def test_impossible_top3_entry(spoiled: Sabotage, key: str, value: Any, message: str) -> None:
    def edit(results: Any) -> None:
        results["runs"]["ReLU"]["top3"]["0"][1][key] = value

    spoiled.both(edit)
    failed = spoiled.failed()
    assert set(failed) - {"text"} == {"b-ReLU"}
    assert message in failed["b-ReLU"]


def test_hard_coded_accuracy(spoiled: Sabotage) -> None:
    def edit(results: Any) -> None:
        results["runs"]["LReLU"]["test_accuracy"] = 0.9999

    spoiled.both(edit)
    failed = spoiled.failed()
    assert set(failed) == {"a-LReLU", "c-LReLU", "text"}
    assert "테스트 정확도는 0.9999" in failed["a-LReLU"]


def test_hard_coded_confusion_matrix(spoiled: Sabotage) -> None:
    """Consistent with its accuracy and with the labels, but not with the network."""

    def edit(results: Any) -> None:
        matrix = np.diag(np.bincount(spoiled.again.found["test labels"]))
        results["runs"]["ReLU"] |= {"confusion_matrix": matrix.tolist(), "test_accuracy": 1.0}

    spoiled.both(edit)
    failed = spoiled.failed()
    assert set(failed) == {"a-ReLU", "c-ReLU", "text"}
    assert "다시 센 혼동 행렬과 다름" in failed["a-ReLU"]


def test_forged_logits(spoiled: Sabotage) -> None:
    """Logits made from the labels: everything agrees, but the weights give others."""
    found = spoiled.again.found
    found["ReLU logits"] = 9.0 * np.eye(10, dtype=np.float32)[found["test labels"]]
    failed = spoiled.failed()
    assert "ReLU의 로짓" in failed["model"]


def test_easier_test_data(spoiled: Sabotage) -> None:
    found = spoiled.again.found
    found["test labels"] = found["ReLU logits"].argmax(axis=1)
    failed = spoiled.failed()
    assert "테스트 데이터" in failed["model"]
    assert "라벨은" in failed["a-ReLU"]


def test_lrelu_that_is_relu(spoiled: Sabotage) -> None:
    def edit(results: Any) -> None:
        results["runs"]["LReLU"] = deepcopy(results["runs"]["ReLU"])

    spoiled.both(edit)
    for key in list(spoiled.again.found):
        if key.startswith("ReLU "):
            spoiled.again.found[f"L{key}"] = spoiled.again.found[key]
    failed = spoiled.failed()
    assert "학습 곡선이 똑같음" in failed["results"]
    assert "LReLU의 로짓" in failed["model"], "its weights belong to another slope"


def test_missing_lrelu(spoiled: Sabotage) -> None:
    spoiled.both(lambda results: results["runs"].pop("LReLU"))
    failed = spoiled.failed()
    assert {"results", "a-LReLU", "b-LReLU", "c-LReLU"} <= set(failed)
    assert not {"a-ReLU", "b-ReLU", "c-ReLU"} & set(failed)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda run: run["history"]["train_loss"].__setitem__(2, float("nan")), "유한하지 않은"),
        (lambda run: run["history"]["validation_accuracy"].pop(0), "길이가 3"),
        (lambda run: run["history"]["validation_loss"].__setitem__(0, 0.0), "줄지 않음"),
        (lambda run: run.__setitem__("train_accuracy", 1.0), "마지막 값이 1.0와 다름"),
        (lambda run: run.__setitem__("history", "all good"), "형식이 약속과 다름"),
    ],
    ids=["NaN", "short", "rising", "other summary", "no curves"],
)
def test_curves(spoiled: Sabotage, edit: Callable[[Any], None], message: str) -> None:
    spoiled.both(lambda results: edit(results["runs"]["ReLU"]))
    failed = spoiled.failed()
    assert message in failed["c-ReLU"]
    assert not {"a-ReLU", "b-ReLU", "c-LReLU"} & set(failed)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("test", "loss", -5.0), ("validation", "loss", 0.2), ("train", "accuracy", 0.5)],
)
def test_invented_final_values(spoiled: Sabotage, part: str, key: str, value: float) -> None:
    """Consistent with its curve, in submission and re-run, but not with the weights."""

    def edit(results: Any) -> None:
        run = results["runs"]["LReLU"]
        run[f"{part}_{key}"] = value
        if part != "test":
            run["history"][f"{part}_{key}"][-1] = value

    spoiled.both(edit)
    failed = spoiled.failed()
    assert f"{part} 데이터의 마지막 손실이나 정확도" in failed["c-LReLU"]
    assert not {"a-LReLU", "b-LReLU", "c-ReLU"} & set(failed)


def test_equal_scores_are_in_order(spoiled: Sabotage) -> None:
    results = deepcopy(spoiled.results())
    best = results["runs"]["ReLU"]["top3"]["0"]
    for entry in best:
        entry |= {"probability": 1.0, "log_probability": -0.0}
    assert list(rubric.top3_problems(results, "ReLU", None)) == []


@pytest.mark.parametrize("letter", ["b", "c"])
def test_invented_text_on_another_machine(spoiled: Sabotage, letter: str) -> None:
    """Other curves excuse other digits, but not a text that disagrees with its own results."""
    spoiled.results()["runs"]["ReLU"]["history"]["train_loss"][0] += 1e-12
    assert spoiled.failed() == {}
    name = "b-table-relu" if letter == "b" else "c-commentary"
    spoiled.cell(name).outputs[0].data["text/markdown"] = (
        "ReLU와 LReLU는 0.5이다. 좋은 결과이다. " * 9
    )
    failed = spoiled.failed()
    assert set(failed) == {"text"}
    assert f"({letter})의" in failed["text"]


def test_a_curve_from_another_training(spoiled: Sabotage) -> None:
    spoiled.results()["runs"]["LReLU"]["history"]["validation_accuracy"][1] -= 0.05
    failed = spoiled.failed()
    assert "LReLU의 학습 곡선 validation_accuracy가 재실행과 다름" in failed["agree"]


@pytest.mark.parametrize("letter", ["a", "b", "c"])
def test_removed_commentary(spoiled: Sabotage, letter: str) -> None:
    data = spoiled.cell(f"{letter}-commentary").outputs[0].data
    data["text/markdown"] = "See the figure above: ReLU 99 %, LReLU 98 %."
    failed = spoiled.failed()
    assert set(failed) == {f"{letter}-text", "text"}
    assert "한국어 해설이 없음" in failed[f"{letter}-text"]


def test_commentary_that_says_nothing(spoiled: Sabotage) -> None:
    data = spoiled.cell("c-commentary").outputs[0].data
    data["text/markdown"] = "그래프를 보면 손실이 잘 줄어들었음을 알 수 있다. " * 5
    assert "수치를 말하지 않음" in spoiled.failed()["c-text"]


def test_figure_without_alternative_text(spoiled: Sabotage) -> None:
    del spoiled.cell("a-figure").outputs[0].metadata["image/png"]["alt"]
    failed = spoiled.failed()
    assert set(failed) == {"a-ReLU", "a-LReLU", "text"}
    assert "대체 텍스트" in failed["a-ReLU"]


def test_missing_figure(spoiled: Sabotage) -> None:
    spoiled.cell("c-figure").outputs = []
    failed = spoiled.failed()
    assert set(failed) == {"c-ReLU", "c-LReLU", "text"}
    assert "그림이 없음" in failed["c-LReLU"]


def test_retouched_figure(spoiled: Sabotage) -> None:
    data = spoiled.cell("a-figure").outputs[0].data
    pixels = image.imread(io.BytesIO(base64.b64decode(data["image/png"]))).copy()
    pixels[400:430, 500:520] = 1 - pixels[400:430, 500:520]  # about one digit
    pixels[400:430, 500:520, 3] = 1
    edited = io.BytesIO()
    image.imsave(edited, pixels, format="png")
    data["image/png"] = base64.b64encode(edited.getvalue()).decode()
    failed = spoiled.failed()
    assert set(failed) == {"text"}
    assert "(a-figure)의 그림" in failed["text"]


def test_the_same_figure_compressed_in_another_way_is_no_problem(spoiled: Sabotage) -> None:
    data = spoiled.cell("a-figure").outputs[0].data
    pixels = image.imread(io.BytesIO(base64.b64decode(data["image/png"])))
    other = io.BytesIO()
    image.imsave(other, pixels, format="png", pil_kwargs={"compress_level": 1})
    data["image/png"] = base64.b64encode(other.getvalue()).decode()
    assert spoiled.failed() == {}


def test_error_hidden_by_a_tag(spoiled: Sabotage) -> None:
    spoiled.cell("gradient-check-run").metadata["tags"] = ["raises-exception"]
    failed = spoiled.failed()
    assert set(failed) == {"clean"}
    assert "(gradient-check-run)에 raises-exception" in failed["clean"]


def test_stderr_noise_and_leftover_error(spoiled: Sabotage) -> None:
    noise = new_output("stream", name="stderr", text="RuntimeWarning: overflow")
    error = new_output("error", ename="KeyError", evalue="", traceback=[])
    spoiled.cell("train").outputs.append(noise)
    spoiled.cell("recipe").outputs.append(error)
    failed = spoiled.failed()
    assert set(failed) == {"clean", "text"}
    assert "(train)에 stderr" in failed["clean"]
    assert "(recipe)에 오류 KeyError" in failed["clean"]


def test_untrusted_output(spoiled: Sabotage) -> None:
    spoiled.cell("train").outputs[0].data = {"application/javascript": "alert(1)"}
    assert "application/javascript" in spoiled.failed()["clean"]


def test_cells_executed_out_of_order(spoiled: Sabotage) -> None:
    spoiled.cell("train").execution_count = 99
    failed = spoiled.failed()
    assert set(failed) == {"order"}
    assert "(train)" in failed["order"]


def test_cleared_outputs(spoiled: Sabotage) -> None:
    for cell in rubric.code_cells(spoiled.nb):
        cell.outputs, cell.execution_count = [], None
    failed = spoiled.failed()
    assert {"order", "results", "a-ReLU", "b-text", "c-LReLU", "agree", "text"} <= set(failed)
    assert "run" not in failed


def test_two_results(spoiled: Sabotage) -> None:
    spoiled.cell("train").metadata["tags"] = ["results"]
    spoiled.cell("train").outputs = deepcopy(spoiled.cell("results").outputs)
    assert "정확히 하나" in spoiled.failed()["results"]


# What only a clean kernel can show: notebooks of a cell or two, executed by the grader.

HIDDEN = "dataset = runs = None"
STAND_INS = {
    "depends on a deleted cell": (["print(deleted_earlier)"], "NameError: name 'deleted_earlier'"),
    "executed in another order": (["print(later)", "later = 1"], "01_scratch_mlp.ipynb의 1번째 셀"),
    "infinite loop": (["1", "while True: pass"], "2번째 셀(cell-1): 2초의 시간 제한을 넘김"),
    "flood": (["while True: print('x' * 10000)"], "자를 넘음"),
    "memory": (["block = bytearray(2**31)"], "MemoryError"),
    "dies": (["import os; os._exit(1)"], "DeadKernelError"),
    "nothing to examine": ([HIDDEN], "없음 (AttributeError: 'NoneType'"),
    "other names": (["data = results = 1"], "dataset과 runs가 없음 (NameError"),
    "hidden error": (["raise ValueError('hidden by a tag')"], "ValueError: hidden by a tag"),
}


def stand_in(root: Path, sources: list[str]) -> Path:
    """Write a notebook in whose stored outputs nothing is wrong."""
    cells = [new_code_cell(source, id=f"cell-{i}") for i, source in enumerate(sources)]
    for cell in cells:
        cell.metadata["tags"] = ["raises-exception", "skip-execution"]
    (root / "src" / "mnist_mlp").mkdir(parents=True, exist_ok=True)
    (root / "notebooks").mkdir(exist_ok=True)
    path = root / "notebooks" / "01_scratch_mlp.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


@pytest.mark.parametrize("name", STAND_INS)
def test_what_a_clean_kernel_catches(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, message = STAND_INS[name]
    monkeypatch.setattr(grading, "OUTPUT_LIMIT", 1_000_000)
    stand_in(tmp_path, sources)
    timeout = 2 if name == "infinite loop" else 30
    again = grading.rerun(tmp_path, "01_scratch_mlp", {}, timeout=timeout, memory=1)
    assert message in again.error
    assert again.found == {}
    items = {item.key: item.problems for item in rubric.judge("scratch", again.nb, again)}
    assert items["run"] == [again.error]
    assert items["agree"] == ["재실행이 실패하여 확인할 수 없음"]


def test_code_from_elsewhere(tmp_path: Path) -> None:
    """A submission that imports another installation of the package than its own."""
    fake = (
        "import sys, types\n"
        "module = types.ModuleType('mnist_mlp'); module.__file__ = '/elsewhere/mnist_mlp.py'\n"
        "sys.modules['mnist_mlp'] = module\n"
        "split = types.SimpleNamespace(images=1, labels=2); runs = {}\n"
        "dataset = types.SimpleNamespace(train=split, validation=split, test=split)"
    )
    stand_in(tmp_path, [fake])
    again = grading.rerun(tmp_path, "01_scratch_mlp", {})
    assert "제출본이 아닌 코드를 가져옴: /elsewhere/mnist_mlp.py" in again.error


def test_the_copy_leaves_out_what_could_hurt(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in (".git/config", ".venv/x", "reports/x.html", "src/a.py", "data/study.csv"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (source / "everything").symlink_to("/")
    (source / "broken").symlink_to("/nowhere")
    (source / "src" / "linked.py").symlink_to(source / "src" / "a.py")
    grading.copy_submission(source, tmp_path / "copy")
    copied = {str(p.relative_to(tmp_path / "copy")) for p in (tmp_path / "copy").rglob("*")}
    assert copied == {"src", "src/a.py", "src/linked.py", "data", "data/study.csv"}
    assert not (tmp_path / "copy" / "src" / "linked.py").is_symlink()


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", "null", '{"nbformat": 4}', '{"cells": [1]}', "\udcff", "not json"],
)
def test_a_notebook_that_cannot_be_read(content: str, tmp_path: Path) -> None:
    path = tmp_path / "notebooks" / "02_framework_mlp.ipynb"
    path.parent.mkdir()
    path.write_text(content, errors="surrogateescape")
    (tmp_path / "src" / "mnist_mlp").mkdir(parents=True)
    again = grading.rerun(tmp_path, "02_framework_mlp", {})
    assert "notebooks/02_framework_mlp.ipynb" in again.error
    items = rubric.judge("framework", grading.readable(path), again)
    assert all(item.problems for item in items if item.key not in ("order", "clean"))


def test_nothing_to_grade(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert grading.main([str(tmp_path), "--json", str(tmp_path / "grade.json")]) == 2
    assert "has no folder notebooks" in capsys.readouterr().err
    assert not (tmp_path / "grade.json").exists()


def test_less_than_full_score_is_exit_code_1_and_names_the_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(tmp_path, ["1 / 0"])
    file = tmp_path / "grade.json"
    assert grading.main([str(tmp_path), "--json", str(file), "--timeout", "30"]) == 1
    report = json.loads(file.read_text())
    assert report["score"] < report["full"] == 36
    assert "01_scratch_mlp.ipynb의 1번째 셀(cell-0): ZeroDivisionError" in capsys.readouterr().out


@pytest.mark.parametrize("argument", ["EPOCHS", "=3", "a b=1"])
def test_a_parameter_without_name_or_value(argument: str) -> None:
    with pytest.raises(SystemExit):
        grading.main(["--parameters", argument])


def test_a_misspelt_parameter_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(tmp_path, ["EPOCHS = 20"])
    options = ["--json", str(tmp_path / "grade.json"), "--parameters", "EPOCH=3"]
    assert grading.main([str(tmp_path), *options]) == 2
    assert "no cell tagged 'parameters'" in capsys.readouterr().err
    nb = nbformat.read(tmp_path / "notebooks" / "01_scratch_mlp.ipynb", as_version=4)
    nb.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(nb, tmp_path / "notebooks" / "01_scratch_mlp.ipynb")
    assert grading.main([str(tmp_path), *options]) == 2
    assert "'EPOCH'" in capsys.readouterr().err


def test_heading_levels_bound_a_section() -> None:
    sources = ["## (a) 10x10  Confusion Matrix (using test data)", "### part", "text", "# next"]
    nb = new_notebook(cells=[new_markdown_cell(source) for source in sources])
    start, cells = rubric.section(nb, "a")
    assert (start, [cell.source for cell in cells]) == (0, sources[:3])
    assert rubric.section(nb, "b") == (-1, [])
