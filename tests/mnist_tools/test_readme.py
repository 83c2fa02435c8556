"""The README's table and picture, from made-up results; the committed picture is the study's."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_tools import readme
from mnist_tools.files import NOTEBOOKS, ReportError

ROOT = Path(__file__).parents[2]
EMPTY = "\n".join(f"<!-- {name} -->\n<!-- /{name} -->" for name in ("results", "answer", "lead"))


def test_table_goes_between_the_markers_relu_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = {"ReLU": [0.98, 0.99], "LReLU(0.1)": [0.97, 0.97], "LReLU(0.3)": [0.985, 0.987, 0.989]}
    stored = {label: np.array(values) for label, values in seeds.items()}
    implementations = {"numpy": ("scratch", 0.1), "torch": ("framework", 0.3)}
    both = dict.fromkeys(implementations, stored)
    monkeypatch.setattr(readme, "stored_test_accuracies", lambda: both)
    (tmp_path / "figures").mkdir()
    run = {"train_accuracy": 1.0, "validation_accuracy": 0.98765, "test_accuracy": 0.9845}
    for framework, (kind, alpha) in implementations.items():
        result = {"framework": framework, "dataset": "mnist", "recipe": {"alpha": alpha}}
        result["runs"] = {"LReLU": run, "ReLU": run}
        (tmp_path / "figures" / f"results_{kind}.json").write_text(json.dumps(result))
    page = tmp_path / "README.md"
    page.write_text(f"앞\n{EMPTY}\n뒤\n", encoding="utf-8")
    readme.update(tmp_path)
    lines = page.read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ").splitlines()
    assert (lines[0], lines[-1]) == ("앞", "뒤")
    # sample standard deviations by hand: 0.01 / sqrt(2) = 0.71 points
    shared = "| 100.00% | 98.77% |"
    assert lines[4] == f"| NumPy | ReLU | **98.45%** | 98.50 ± 0.71% (2개) | 97.01% {shared}"
    assert (
        lines[7] == f"| PyTorch | LReLU(0.3) | **98.45%** | 98.70 ± 0.20% (3개) | 93.94% {shared}"
    )


def test_results_without_mnist_do_not_reach_the_readme(tmp_path: Path) -> None:
    page, figures = tmp_path / "README.md", tmp_path / "figures"
    page.write_text(EMPTY, encoding="utf-8")
    figures.mkdir()
    for kind in NOTEBOOKS:
        (figures / f"results_{kind}.json").write_text('{"dataset": "sklearn-digits"}')
    with pytest.raises(ReportError, match="about MNIST"):
        readme.update(tmp_path)
    assert page.read_text(encoding="utf-8") == EMPTY


def test_a_readme_without_the_markers_is_left_alone_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text("text", encoding="utf-8")
    readme.update(tmp_path)
    assert page.read_text(encoding="utf-8") == "text"
    assert f"{page}에 <!-- results -->가 없어" in capsys.readouterr().out


def test_the_picture_shows_every_seed_its_mean_and_its_interval() -> None:
    (ax,) = readme.picture({"LReLU(0.1), NumPy": np.array([-0.1, 0.0, 0.2])}).axes
    seeds, interval, mean, zero = (np.asarray(line.get_xdata(), float) for line in ax.lines)
    assert seeds.tolist() == [-0.1, 0.0, 0.2]
    assert mean.tolist() == [pytest.approx(0.1 / 3)]
    # by hand: SD 0.1528, t(2) = 4.303, half = 4.303 * 0.1528 / sqrt(3) = 0.3795
    assert interval.tolist() == pytest.approx([0.1 / 3 - 0.3795, 0.1 / 3 + 0.3795], abs=1e-4)
    assert zero.tolist() == [0, 0]


def test_the_committed_answer_its_picture_and_its_text_are_those_of_the_study() -> None:
    assert f"<!-- lead -->\n{readme.lead()}\n" in (ROOT / "README.md").read_text(encoding="utf-8")
    said = readme.answer(readme.paired_differences())
    assert "LReLU(0.1), NumPy −0.03 [−0.05, −0.01]" in said
    assert said in (ROOT / "README.md").read_text(encoding="utf-8"), "make readme"
    with Image.open(ROOT / "figures" / readme.ANSWER) as picture:
        assert picture.info["Description"] == said, "make readme"
