"""The committed notebooks are whole, executed in order, and come from the committed code."""

import json
import re
from typing import Any

import pytest
from executed import PARAMETERS, ROOT, Execution, Grading

from mnist_mlp.data import load
from mnist_mlp.prose import REWRITE
from mnist_tools import readme, shown
from mnist_tools.files import NOTEBOOKS, read_notebook
from mnist_tools.report import source_hash
from mnist_tools.rubric import THRESHOLDS, order_problems, output_problems, result_problems
from mnist_tools.shown import Side

each_kind = pytest.mark.parametrize("kind", NOTEBOOKS)


def committed(kind: str) -> Side:
    return Side("", read_notebook(ROOT / "notebooks" / f"{NOTEBOOKS[kind]}.ipynb"))


def said(nb: Any) -> str:
    """Return all Markdown that a notebook shows."""
    return shown.markdown(nb.cells)


@each_kind
def test_executed_in_order_without_errors_or_stderr(kind: str) -> None:
    side = committed(kind)
    assert not [*order_problems(side), *output_problems(side), *result_problems(side, kind)]
    code = shown.code_cells(side.nb)
    assert max(len(cell.source.splitlines()) for cell in code) <= 25
    for line in "".join(o.get("text", "") for cell in code for o in cell.outputs).splitlines():
        assert len(line) + len(re.findall("[가-힣]", line)) <= 88, line


@each_kind
def test_outputs_come_from_the_committed_code(kind: str) -> None:
    nb = committed(kind).nb
    assert nb.metadata["mnist_mlp"]["source_sha256"] == source_hash(nb), (
        "the package, the study or a cell changed after the notebook was executed: make notebooks"
    )
    assert REWRITE not in said(nb)


@each_kind
def test_results_are_those_of_mnist_and_good_enough(kind: str) -> None:
    content = committed(kind).results
    assert content["dataset"] == "mnist"
    assert (content["n_train"], content["n_validation"], content["n_test"]) == (48000, 12000, 10000)
    for name, run in content["runs"].items():
        assert run["test_accuracy"] >= THRESHOLDS[kind][name]
    file = ROOT / "figures" / f"results_{kind}.json"
    assert json.loads(file.read_text(encoding="utf-8")) == content


@each_kind
def test_links_lead_to_headings(kind: str) -> None:
    text = said(committed(kind).nb)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    links = re.findall(r"\]\(#((?:[^()]|\([^()]*\))*)\)", text)
    assert len(links) >= 3
    assert set(links) <= {heading.replace(" ", "-") for heading in headings}


def test_readme_table_is_made_from_the_results() -> None:
    results = [committed(kind).results for kind in NOTEBOOKS]
    table = readme.table(results, readme.stored_test_accuracies())
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")


def test_two_runs_are_byte_identical_also_when_both_notebooks_run_at_once(
    executed: Execution, graded: Grading
) -> None:
    """At once, and one after the other in another folder, as the grader runs them."""
    assert len(executed.saved) > 10
    assert graded.saved == executed.saved
    for kind, (_, again) in graded.sides.items():
        before = executed.notebooks[NOTEBOOKS[kind]].cells
        for one, other in zip(before, again.nb.cells, strict=True):
            assert json.dumps(one.get("outputs")) == json.dumps(other.get("outputs"))
            assert one.get("execution_count") == other.get("execution_count")


@each_kind
def test_a_run_on_the_digits_says_so_everywhere(kind: str, executed: Execution) -> None:
    side = Side("", executed.notebooks[NOTEBOOKS[kind]])
    assert side.results["dataset"] == "sklearn-digits"
    assert side.results["n_test"] == len(load("sklearn-digits").test.labels)
    curve = side.results["runs"]["ReLU"]["history"]["train_loss"]
    assert len(curve) == 1 + PARAMETERS["EPOCHS"]
    assert "데이터는 sklearn-digits이다" in said(side.nb)
    assert "비교할 값이 없다" in said(side.nb)
