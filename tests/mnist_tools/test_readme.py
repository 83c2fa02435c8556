"""The README's table, from made-up results."""

import json
from pathlib import Path

import numpy as np
import pytest

from mnist_tools import readme

FILES = {"numpy": ("scratch", 0.1), "torch": ("framework", 0.3)}


def results(implementation: str, alpha: float) -> dict[str, object]:
    run = {"train_accuracy": 1.0, "validation_accuracy": 0.98765, "test_accuracy": 0.9845}
    return {
        "framework": implementation,
        "recipe": {"alpha": alpha},
        "runs": {"LReLU": run, "ReLU": run},
    }


def test_table_goes_between_the_markers_relu_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = {"ReLU": [0.98, 0.99], "LReLU(0.1)": [0.97, 0.97], "LReLU(0.3)": [0.985, 0.987, 0.989]}
    stored = {label: np.array(values) for label, values in seeds.items()}
    monkeypatch.setattr(readme, "stored_test_accuracies", lambda: dict.fromkeys(FILES, stored))
    (tmp_path / "figures").mkdir()
    for implementation, (kind, alpha) in FILES.items():
        path = tmp_path / "figures" / f"results_{kind}.json"
        path.write_text(json.dumps(results(implementation, alpha)), encoding="utf-8")
    page = tmp_path / "README.md"
    page.write_text("앞\n<!-- results -->\n<!-- /results -->\n뒤\n", encoding="utf-8")
    readme.update(tmp_path)
    lines = page.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1]) == ("앞", "뒤")
    assert [line.split(" | ")[:2] for line in lines[4:8]] == [
        *(["| NumPy", "ReLU"], ["| NumPy", "LReLU(0.1)"]),
        *(["| PyTorch", "ReLU"], ["| PyTorch", "LReLU(0.3)"]),
    ]
    # sample standard deviations by hand: 0.01 / sqrt(2) = 0.71 points
    assert lines[4].endswith("| 100.00% | 98.77% | **98.45%** | 98.50 ± 0.71% (2개) | 97.01% |")
    assert lines[7].endswith("| 98.70 ± 0.20% (3개) | 93.94% |")


def test_a_readme_without_the_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("text", encoding="utf-8")
    readme.update(tmp_path)
    assert page.read_text(encoding="utf-8") == "text"
