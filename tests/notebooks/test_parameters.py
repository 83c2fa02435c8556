"""Whatever a reader sets or loads: no warning, no crash, and the text stays true."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import papermill
import pytest
from executed import ROOT
from in_process import said
from tiny_mnist import fill, four_arrays, four_files

from mnist_tools.files import NOTEBOOKS, read_notebook

NAMES = {"file_path", "DATASET", "EPOCHS", "BATCH_SIZE", "ALPHA", "SEED"}
DEFAULT_ALPHA = {"01_scratch_mlp": 0.1, "02_framework_mlp": 0.3}
STORED_ALPHAS = {"01_scratch_mlp": (0.01, 0.1, 0.3), "02_framework_mlp": (0.1, 0.3)}


def four(images: str) -> list[np.ndarray[Any, Any]]:
    """Return random images, unless they are noise with class k lighting row 2 k + 4."""
    train, train_labels, test, labels = four_arrays(n_train=400, n_test=60)
    for pixels, classes in ((train, train_labels), (test, labels)) if images != "noise" else ():
        pixels //= 8
        for image, label in zip(pixels, classes, strict=True):
            image[2 * label + 4 : 2 * label + 6] = 255
    kept = {"no 7": labels != 7, "two test images": np.arange(60) < 2}.get(images, labels >= 0)
    return [train, train_labels, test[kept], labels[kept]]


slow = pytest.mark.slow
CASES = [
    ("separable", {"EPOCHS": 1, "BATCH_SIZE": 50, "ALPHA": 0.05, "SEED": 7}),
    pytest.param("separable", {"EPOCHS": 0}, marks=slow),
    pytest.param("separable", {"EPOCHS": 3, "BATCH_SIZE": 5000, "ALPHA": 0.3}, marks=slow),
    pytest.param("separable", {"EPOCHS": 1, "BATCH_SIZE": 1000, "ALPHA": 0.01}, marks=slow),
    pytest.param("no 7", {"EPOCHS": 3, "BATCH_SIZE": 20}, marks=slow),
    pytest.param("two test images", {"EPOCHS": 3, "BATCH_SIZE": 20}, marks=slow),
    pytest.param("noise", {"EPOCHS": 1}, marks=slow),
]


@pytest.mark.parametrize("name", NOTEBOOKS.values())
@pytest.mark.parametrize(("images", "parameters"), CASES)
def test_the_report_is_drawn_and_true_of_any_data_and_parameters(
    name: str,
    images: str,
    parameters: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays = four(images)
    paths = [str(path) for path in fill(tmp_path, four_files(arrays))]
    printed = said(name, tmp_path / "out", monkeypatch, file_path=paths, **parameters)
    text = re.sub(r"```.+?```", "", printed, flags=re.DOTALL)  # without the code that is shown
    assert not re.search(r"nan\b|\binf\b|None|\{\{", text)
    alpha = parameters.get("ALPHA", DEFAULT_ALPHA[name])
    for words in (
        f"{parameters['EPOCHS']} 에폭, 미니배치 {parameters.get('BATCH_SIZE', 100)}장",
        f"train      ({len(arrays[0]) * 4 // 5}, 784)",
        f"test       ({len(arrays[2])}, 784)",
        "이 실행과 데이터와 레시피가 같은 학습이 시드 반복 실험(9절)에 없어",
        f"LReLU($\\alpha = {alpha}$)",
    ):
        assert words in text
    own = [line for line in text.splitlines() if line.startswith("**이 실행의 α.**")]
    assert len(own) == (alpha != DEFAULT_ALPHA[name])
    unknown = alpha not in STORED_ALPHAS[name]
    assert ("시드 반복 실험에 없으므로" in "".join(own)) == unknown


@pytest.mark.parametrize("name", NOTEBOOKS.values())
def test_papermill_finds_the_parameters(name: str) -> None:
    found: dict[str, Any] = papermill.inspect_notebook(str(ROOT / "notebooks" / f"{name}.ipynb"))
    assert set(found) == NAMES
    assert found["EPOCHS"]["default"] == "20"


def test_the_command_of_papermill_replaces_them(tmp_path: Path) -> None:
    target = tmp_path / "out.ipynb"
    command = ["papermill", "notebooks/01_scratch_mlp.ipynb", str(target), "-p", "EPOCHS", "5"]
    options = ["-p", "SEED", "1", "--prepare-only"]  # it would take a minute to execute
    subprocess.run(
        [sys.executable, "-m", *command, *options], cwd=ROOT, check=True, capture_output=True
    )
    cells = read_notebook(target).cells
    tags = [cell.metadata.get("tags", []) for cell in cells]
    at = tags.index(["injected-parameters"])
    assert at == tags.index(["parameters"]) + 1
    assert cells[at].source.splitlines()[1:] == ["EPOCHS = 5", "SEED = 1"]
