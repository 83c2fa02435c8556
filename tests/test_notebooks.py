"""The committed notebooks are whole, executed in order, and come from the committed code."""

import json
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from executed import PARAMETERS, Execution, execute_both
from torture_data import CASES, TORTURE

from mnist_mlp import report, study_rows
from mnist_mlp.conclusions import readme_table
from mnist_mlp.data import load

ROOT = Path(__file__).parents[1]
PATHS = [ROOT / "notebooks" / f"{name}.ipynb" for name in ("01_scratch_mlp", "02_framework_mlp")]
HEADINGS = [
    "(a) 10x10 Confusion Matrix (using test data)",
    "(b) Top 3 score images (all classes) using test data",
    "(c) Training Loss graph using train, validation data",
]
REQUIRED = {"numpy": (0.984, 0.984), "torch": (0.984, 0.983)}


def committed(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def results(nb: Any) -> Any:
    (cell,) = [c for c in nb.cells if "results" in c.metadata.get("tags", [])]
    return cell.outputs[0].data["application/json"]


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_executed_in_order_without_errors_or_stderr(path: Path) -> None:
    code = [c for c in committed(path).cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    outputs = [o for c in code for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert max(len(c.source.splitlines()) for c in code) <= 25


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_outputs_come_from_the_committed_code(path: Path) -> None:
    nb = committed(path)
    assert nb.metadata["mnist_mlp"]["source_sha256"] == report.source_hash(nb), (
        "the package, the study or a cell changed after the notebook was executed: make notebooks"
    )


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_sections_are_there_each_followed_by_a_figure_and_korean_commentary(path: Path) -> None:
    nb = committed(path)
    for heading in HEADINGS:
        start = next(i for i, c in enumerate(nb.cells) if heading in c.source)
        section = []
        for cell in nb.cells[start + 1 :]:
            if cell.cell_type == "markdown" and cell.source.startswith("## "):
                break
            section.append(cell)
        data = [o.data for c in section if c.cell_type == "code" for o in c.outputs if "data" in o]
        assert any("image/png" in d for d in data)
        text = "".join(d.get("text/markdown", "") for d in data)
        assert "ReLU" in text
        assert "LReLU" in text
        assert sum("가" <= letter <= "힣" for letter in text) > 100


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_results_are_consistent_and_good_enough(path: Path) -> None:
    content = results(committed(path))
    assert content["dataset"] == "mnist"
    assert (content["n_train"], content["n_validation"], content["n_test"]) == (48000, 12000, 10000)
    assert set(content["runs"]) == {"ReLU", "LReLU"}
    for name, required in zip(("ReLU", "LReLU"), REQUIRED[content["framework"]], strict=True):
        run = content["runs"][name]
        matrix = np.array(run["confusion_matrix"])
        assert matrix.sum() == 10_000
        assert matrix.trace() / 10_000 == run["test_accuracy"] >= required
        for curve in ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy"):
            assert len(run["history"][curve]) == 21
            assert run["history"][curve][-1] == run[curve]
        for best in run["top3"].values():
            scores = [s["log_probability"] for s in best]
            assert scores == sorted(scores, reverse=True)
            assert len(set(scores)) == 3


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_results_file_is_what_the_notebook_shows(path: Path) -> None:
    name = {"01": "results_scratch", "02": "results_framework"}[path.stem[:2]]
    file = json.loads((ROOT / "figures" / f"{name}.json").read_text(encoding="utf-8"))
    assert file == results(committed(path))


def test_readme_table_is_made_from_the_results() -> None:
    table = readme_table([results(committed(path)) for path in PATHS], study_rows.read_rows())
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")


def test_two_runs_are_byte_identical_also_when_both_notebooks_run_at_once(
    alone: Execution, tmp_path: Path
) -> None:
    assert len(alone.saved) > 10
    for pair in range(10 if TORTURE else 1):
        together = execute_both(tmp_path / f"pair {pair}", at_once=True)
        assert together.saved == alone.saved
        for name, nb in together.notebooks.items():
            assert nbformat.writes(nb) == nbformat.writes(alone.notebooks[name])
        CASES["test_two_runs_are_byte_identical_also_when_both_notebooks_run_at_once"] += 1


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_a_run_on_the_digits_says_so_everywhere(path: Path, alone: Execution) -> None:
    nb = alone.notebooks[path.stem]
    content = results(nb)
    assert content["dataset"] == "sklearn-digits"
    assert content["n_test"] == len(load("sklearn-digits").test.labels)
    assert len(content["runs"]["ReLU"]["history"]["train_loss"]) == 1 + PARAMETERS["EPOCHS"]
    text = nbformat.writes(nb)
    assert "견줄 행이 없다" in text
