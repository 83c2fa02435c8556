"""The single-file notebooks run where there is nothing but the file: no repository, no network.

The kernel runs with ``-S``: Python then reads no ``.pth`` file, so that the editable installation
of the package cannot be imported, and what runs is what the notebook carries.
"""

import gzip
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell

from mnist_mlp import colab, report
from mnist_mlp.data import GZ_SHA256, load
from mnist_mlp.files import NOTEBOOKS, ReportError, read_notebook

ROOT = Path(__file__).parents[1]
NO_NETWORK = """
import socket
connect = socket.socket.connect
def refuse(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
        raise OSError(f"no network in this test: {address}")
    return connect(self, address)
socket.socket.connect = refuse
"""
WHERE = """
import json, sys
print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "mnist_mlp"]))
"""


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, kernels that cannot import the installed package, and no data but digits."""
    argv = [sys.executable, "-S", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    packages = {"PYTHONPATH": sysconfig.get_path("purelib")}
    code = "import numpy, IPython\nimport mnist_mlp"
    refused = subprocess.run(
        [*argv[:2], "-c", code], env=packages, cwd=tmp_path, capture_output=True, text=True
    )
    assert "No module named 'mnist_mlp'" in refused.stderr
    spec = {"argv": argv, "display_name": "alone", "language": "python", "env": packages}
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    for name in ("MNIST_DIR", "MNIST_MLP_OUTPUT", "REPO_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MNIST_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "content"
    folder.mkdir()
    return folder


def built(name: str) -> Any:
    nb = read_notebook(ROOT / "notebooks" / f"{name}.ipynb")
    return colab.single_file(nb, colab.carried_cells(ROOT))


def execute(nb: Any, folder: Path, **parameters: Any) -> Any:
    """Upload a notebook to an empty folder and run all cells."""
    nb.cells = [
        new_code_cell(NO_NETWORK, id="no-network"),
        *nb.cells,
        new_code_cell(WHERE, id="where"),
    ]
    path = folder / "uploaded.ipynb"
    nbformat.write(nb, path)
    executed = report.execute(path, parameters=parameters)
    modules = json.loads(executed.cells[-1].outputs[0].text)
    assert modules
    assert all(Path(file).is_relative_to(folder / colab.FOLDER) for file in modules)
    return executed


@pytest.mark.parametrize("name", NOTEBOOKS.values())
def test_runs_alone_on_the_embedded_digits(name: str, alone: Path) -> None:
    nb = execute(built(name), alone, DATASET="sklearn-digits", EPOCHS=1)
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]
    (results,) = [
        o.data["application/json"] for o in outputs if "application/json" in o.get("data", {})
    ]
    assert results["dataset"] == "sklearn-digits"
    assert results["n_test"] == len(load("sklearn-digits").test.labels)
    text = "\n".join(o.get("data", {}).get("text/markdown", "") for o in outputs)
    assert (
        "```python\ndef fit(" in text or "\ndef fit(" in text
    )  # show_source reads what was written
    assert "신뢰구간" in text  # section 9 found the study
    figures = {path.suffix for path in (alone / colab.FOLDER / "figures").iterdir()}
    assert figures == {".png", ".json"}


def test_what_is_written_is_what_the_repository_has(alone: Path) -> None:
    nb = built("01_scratch_mlp")
    nb.cells = [cell for cell in nb.cells if cell.id.startswith("carried")]
    nb.cells.append(new_code_cell("import mnist_mlp", id="import"))
    execute(nb, alone)
    written = [path for path in (alone / colab.FOLDER).rglob("*") if path.is_file()]
    written = [path for path in written if "__pycache__" not in str(path)]
    assert len(written) == len(colab.carried_cells(ROOT)) - 2
    for path in written:
        original = ROOT / path.relative_to(alone / colab.FOLDER)
        assert path.read_bytes() == original.read_bytes(), original


def write_idx(path: Path, array: Any) -> None:
    header = b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.mark.parametrize("name", ["01_scratch_mlp"])  # 02 loads data by the same cell
def test_finds_the_four_uploaded_files_also_when_run_twice(name: str, alone: Path) -> None:
    rng = np.random.default_rng(0)
    for file, n in zip(GZ_SHA256, (200, 200, 50, 50), strict=True):
        shape = (n, 28, 28) if "images" in file else (n,)
        pixels = rng.integers(0, 256, shape).astype(np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        write_idx(alone / f"{file}.gz", pixels if "images" in file else labels)
    for _ in range(2):
        nb = built(name)
        end = next(i for i, cell in enumerate(nb.cells) if cell.id == "load")
        check = "print([dataset.name, *(len(s.labels) for s in (dataset.train, dataset.test))])"
        nb.cells = [*nb.cells[: end + 1], new_code_cell(check, id="check")]
        executed = execute(nb, alone)
        assert executed.cells[-2].outputs[0].text == "['idx-files', 160, 50]\n"


@pytest.mark.parametrize("name", NOTEBOOKS.values())
def test_the_file_is_readable_small_and_has_no_outputs(name: str) -> None:
    nb = built(name)
    nbformat.validate(nb)
    assert len(nbformat.writes(nb)) < 1_000_000
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    sources = "\n".join(cell.source for cell in nb.cells)
    assert "class Affine:" in sources  # plain text, not an archive
    assert "git" not in "".join(c.source for c in code if not c.source.startswith("%%writefile"))
    assert "b64decode" not in sources
    assert not re.search(r"^\s*[!%]\s*(pip|conda|apt)|subprocess", sources, re.MULTILINE)
    ids = [cell.id for cell in nb.cells]
    assert "find-repository" not in ids
    assert ids.index("carried-0") < ids.index("setup") < ids.index("parameters")
    assert [cell.metadata.get("tags") for cell in code if "tags" in cell.metadata] == [
        ["parameters"],
        ["results"],
    ]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("notebooks", "src", "data"):
        os.symlink(ROOT / folder, tmp_path / folder)
    assert colab.main(["--root", str(tmp_path)]) == 0
    names = sorted(path.name for path in (tmp_path / "dist").iterdir())
    assert names == ["01_scratch_mlp.ipynb", "02_framework_mlp.ipynb"]
    first = (tmp_path / "dist" / names[0]).read_bytes()
    assert colab.main(["--root", str(tmp_path)]) == 0
    assert (tmp_path / "dist" / names[0]).read_bytes() == first
    assert "dist/01_scratch_mlp.ipynb" in capsys.readouterr().out


def test_a_notebook_without_the_expected_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nb = nbformat.v4.new_notebook(cells=[new_code_cell("1", id="setup")])
    with pytest.raises(ReportError, match="find-repository"):
        colab.single_file(nb, [])
    assert colab.main(["--root", str(tmp_path)]) == 1
    assert "01_scratch_mlp.ipynb" in capsys.readouterr().err
