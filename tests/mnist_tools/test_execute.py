"""Executing, on tiny notebooks; ``test_rerun.py`` has the ways to end one."""

import json
from pathlib import Path

import pytest
from made_up_notebook import write_code

from mnist_tools import progress
from mnist_tools.execute import execute
from mnist_tools.files import ReportError


def test_a_cell_runs_in_its_folder_and_flushed_lines_are_one_output_without_timestamps(
    tmp_path: Path,
) -> None:
    source = "import os\nfor line in (os.getcwd(), os.environ['MNIST_MLP_OUTPUT']):\n"
    path = write_code(tmp_path / "notebooks" / "n.ipynb", source + "    print(line, flush=True)")
    nb = json.loads(path.read_text(encoding="utf-8"))
    nb["cells"][0]["metadata"]["execution"] = {"iopub.execute_input": "2024-05-04T10:00:00Z"}
    path.write_text(json.dumps(nb), encoding="utf-8")
    (cell,) = execute(path, tmp_path / "figures").cells
    assert [output.text for output in cell.outputs] == [f"{path.parent}\n{tmp_path / 'figures'}\n"]
    assert "execution" not in cell.metadata


def test_a_notebook_of_colab_tells_how_far_it_is_and_a_killed_kernel_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 0)
    kill = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    path = write_code(tmp_path / "n.ipynb", "print('에폭  3 | 0.1')", kill)
    nb = json.loads(path.read_text(encoding="utf-8")) | {"nbformat_minor": 0}
    for cell in nb["cells"]:
        del cell["id"]
    path.write_text(json.dumps(nb), encoding="utf-8")
    sentence = r"n.ipynb, cell 2 of 2 \(id cell-2\) failed(?s:.*) the memory was full$"
    with pytest.raises(ReportError, match=sentence):
        execute(path, tmp_path)
    assert capsys.readouterr().out == "n: 셀 1/2\nn: 셀 1/2, 에폭 3\nn: 셀 2/2\n"
