"""The committed notebooks are whole, executed in order, and come from the committed code."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from executed import PARAMETERS, ROOT, Execution, execute_both

from mnist_mlp.data import load
from mnist_mlp.prose import REWRITE
from mnist_tools import readme
from mnist_tools.report import source_hash

PATHS = [ROOT / "notebooks" / f"{name}.ipynb" for name in ("01_scratch_mlp", "02_framework_mlp")]
FILES = {"01_scratch_mlp": "results_scratch.json", "02_framework_mlp": "results_framework.json"}
each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
REQUIRED = {
    "numpy": {"ReLU": 0.984, "LReLU": 0.984},
    "torch": {"ReLU": 0.984, "LReLU": 0.983},
}


def committed(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def results(nb: Any) -> Any:
    (cell,) = [c for c in nb.cells if "results" in c.metadata.get("tags", [])]
    return cell.outputs[0].data["application/json"]


@each_notebook
def test_executed_in_order_without_errors_or_stderr(path: Path) -> None:
    code = [c for c in committed(path).cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    outputs = [o for c in code for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    assert max(len(c.source.splitlines()) for c in code) <= 25


@each_notebook
def test_outputs_come_from_the_committed_code(path: Path) -> None:
    nb = committed(path)
    assert nb.metadata["mnist_mlp"]["source_sha256"] == source_hash(nb), (
        "the package, the study or a cell changed after the notebook was executed: make notebooks"
    )


@each_notebook
def test_results_are_those_of_mnist_and_good_enough(path: Path) -> None:
    content = results(committed(path))
    assert content["dataset"] == "mnist"
    assert (content["n_train"], content["n_validation"], content["n_test"]) == (48000, 12000, 10000)
    for name, run in content["runs"].items():
        assert run["test_accuracy"] >= REQUIRED[content["framework"]][name]
    file = ROOT / "figures" / FILES[path.stem]
    assert json.loads(file.read_text(encoding="utf-8")) == content


@each_notebook
def test_every_sentence_about_the_study_stands_and_every_line_fits_the_page(path: Path) -> None:
    outputs = [o for c in committed(path).cells if c.cell_type == "code" for o in c.outputs]
    assert REWRITE not in "".join(o.get("data", {}).get("text/markdown", "") for o in outputs)
    for line in "".join(o.get("text", "") for o in outputs).splitlines():
        assert len(line) + len(re.findall("[가-힣]", line)) <= 88, line


@each_notebook
def test_links_lead_to_headings(path: Path) -> None:
    nb = committed(path)
    texts = [c.source for c in nb.cells if c.cell_type == "markdown"]
    headings = re.findall(r"^#+ (.+)$", "\n".join(texts), re.MULTILINE)
    anchors = {heading.replace(" ", "-") for heading in headings}
    outputs = [o for c in nb.cells for o in c.get("outputs", [])]
    texts += [o.get("data", {}).get("text/markdown", "") for o in outputs]
    links = re.findall(r"\]\(#((?:[^()]|\([^()]*\))*)\)", "\n".join(texts))
    assert len(links) >= 3
    assert set(links) <= anchors


def test_readme_table_is_made_from_the_results() -> None:
    table = readme.table([results(committed(p)) for p in PATHS], readme.stored_test_accuracies())
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")


def test_two_runs_are_byte_identical_also_when_both_notebooks_run_at_once(
    alone: Execution, tmp_path: Path
) -> None:
    assert len(alone.saved) > 10
    together = execute_both(tmp_path, at_once=True)
    assert together.saved == alone.saved
    for name, nb in together.notebooks.items():
        assert nbformat.writes(nb) == nbformat.writes(alone.notebooks[name])


@each_notebook
def test_a_run_on_the_digits_says_so_everywhere(path: Path, alone: Execution) -> None:
    nb = alone.notebooks[path.stem]
    content = results(nb)
    assert content["dataset"] == "sklearn-digits"
    assert content["n_test"] == len(load("sklearn-digits").test.labels)
    assert len(content["runs"]["ReLU"]["history"]["train_loss"]) == 1 + PARAMETERS["EPOCHS"]
    text = nbformat.writes(nb)
    assert "데이터는 sklearn-digits이고" in text
    assert "비교할 값이 없다" in text
