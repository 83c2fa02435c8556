"""The single-file notebooks run where there is nothing but the file: no repository, no network.

The kernel runs with ``-S``: Python then reads no ``.pth`` file, so that the editable installation
of the package cannot be imported, and what runs is what the notebook carries.
"""

import json
import os
import re
import sys
import sysconfig
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from executed import ROOT, with_parameters
from nbconvert.exporters import HTMLExporter
from nbformat.v4 import new_code_cell
from tiny_mnist import CLOSED

from mnist_mlp.study import STUDY_FILE
from mnist_tools import colab
from mnist_tools.execute import run
from mnist_tools.files import NOTEBOOKS, ReportError, package_files
from mnist_tools.rubric import output_problems
from mnist_tools.shown import Side, markdown

WHERE = """
import json, sys
print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "mnist_mlp"]))
"""


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, kernels that cannot import the installed package, and no data but digits."""
    argv = [sys.executable, "-S", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    packages = {"PYTHONPATH": sysconfig.get_path("purelib")}
    spec = {"argv": argv, "display_name": "alone", "language": "python", "env": packages}
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    for name in ("MNIST_DIR", "MNIST_MLP_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MNIST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MNIST_MIRRORS", CLOSED)
    folder = tmp_path / "content"
    folder.mkdir()
    return folder


def built(name: str, **parameters: Any) -> Any:
    """Return the single-file notebook, with other parameters."""
    return colab.single_file(with_parameters(name, **parameters), colab.carried_cells(ROOT))


@pytest.mark.parametrize(
    "name", [pytest.param("01_scratch_mlp", marks=pytest.mark.slow), "02_framework_mlp"]
)
def test_runs_alone_on_the_embedded_digits(name: str, empty: Path) -> None:
    nb = built(name, DATASET="sklearn-digits", EPOCHS=1)
    again = colab.carried_cells(ROOT)  # as when all is run a second time
    for cell in again:
        cell.id += "-again"
    nb.cells += [*again, new_code_cell(WHERE, id="where")]
    run(nb, empty, dict(os.environ))
    modules = json.loads(nb.cells.pop().outputs[0].text)
    assert modules
    assert all(Path(file).is_relative_to(empty / colab.FOLDER) for file in modules)
    side, text = Side("", nb), markdown(nb.cells)
    assert list(output_problems(side)) == []
    assert (side.results["dataset"], side.results["n_test"]) == ("sklearn-digits", 360)
    assert "\ndef fit(" in text  # show_source reads what was written
    assert "신뢰구간" in text  # the study was found
    figures = {path.suffix for path in (empty / colab.FOLDER / "figures").iterdir()}
    assert figures >= {".png", ".json"}
    for original in [*package_files(ROOT / "src" / "mnist_mlp"), STUDY_FILE]:
        written = empty / colab.FOLDER / original.relative_to(ROOT)
        assert written.read_bytes() == original.read_bytes(), original


@pytest.mark.parametrize("name", NOTEBOOKS.values())
def test_the_file_is_readable_small_and_has_no_outputs(name: str) -> None:
    nb = built(name)
    nbformat.validate(nb)
    assert len(nbformat.writes(nb)) < 1_000_000
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    sources = "\n".join(cell.source for cell in nb.cells)
    assert "class Affine:" in sources  # code is plain text, not an archive
    assert not re.search(r"^\s*[!%]\s*(pip|conda|apt)|subprocess|REPO_URL", sources, re.MULTILINE)
    ids = [cell.id for cell in nb.cells]
    assert ids.index("carried-0") < ids.index("imports")


def test_an_html_export_leaves_out_the_package_that_the_file_carries() -> None:
    exporter = HTMLExporter()  # type: ignore[no-untyped-call]
    html, _ = exporter.from_notebook_node(built("01_scratch_mlp"))
    text = BeautifulSoup(html, "html.parser").get_text()
    assert colab.TEXT.splitlines()[0].removeprefix("## ") in text
    assert "DATASET" in text  # the notebook's own cells are there
    assert "%%writefile" not in text
    assert "base64" not in text


def test_a_notebook_without_the_expected_cells_is_refused() -> None:
    nb = nbformat.v4.new_notebook(cells=[new_code_cell("1", id="setup")])
    with pytest.raises(ReportError, match="find-repository"):
        colab.single_file(nb, [])
