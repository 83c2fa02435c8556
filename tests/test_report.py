"""Executing and converting, on a small notebook that has everything the real ones have."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from mnist_mlp.files import ReportError, read_notebook, write_atomically
from mnist_mlp.html_page import Page, summary, to_html
from mnist_mlp.report import execute, main, source_hash

INLINE = [
    r"W_1 \in \mathbb{R}^{512 \times 784}",
    r"\boldsymbol{\delta} = \hat{y} - y",
    r"\mathbf{1}[z > 0]",
    r"\tfrac{1}{N}",
    r"\lVert \boldsymbol{a} - \boldsymbol{n} \rVert_2",
]
DISPLAY = [
    r"L = -\frac{1}{N} \sum_{i=1}^{N} \log p_{i, y_i}, \qquad"
    r" p_{ik} = \frac{e^{z_{ik}}}{\sum_{j} e^{z_{ij}}}",
    r"\begin{aligned} \frac{\partial L}{\partial W} &= X^\top \delta \\"
    r" \frac{\partial L}{\partial b} &= \sum_{i=1}^{N} \delta_i \end{aligned}",
    r"f(z) = \begin{cases} z & z > 0 \text{일 때} \\ \alpha z & \text{그 밖에} \end{cases}",
    r"\operatorname{softmax}(z)_k = \exp\left(z_k - \log \sum_j e^{z_j}\right)",
]
ALT = "ReLU의 학습 손실이 스무 에폭 동안 줄어드는 꺾은선 그래프 <1 미만>"
FIGURE = f"""\
import io
import matplotlib.pyplot as plt
from IPython.display import Markdown, display
figure, axes = plt.subplots(figsize=(9, 4), dpi=200)
axes.plot([1 / n for n in range(1, 21)], label="train")
axes.set(title="Training loss", xlabel="epoch", ylabel="cross-entropy")
axes.legend()
buffer = io.BytesIO()
figure.savefig(buffer, format="png")
plt.close(figure)
display({{"image/png": buffer.getvalue()}}, raw=True,
        metadata={{"image/png": {{"alt": {ALT!r}, "width": 900}}}})"""
COMMENTARY = '''\
display(Markdown("""두 곡선은 에폭 12에서 가장 가깝다. 손실은 $-\\\\log p$이므로 작을수록 좋다.

| 활성화 | 학습 | 검증 |
|:--|--:|--:|
| ReLU | 99.98 | 98.31 |
| LReLU ($\\\\alpha = 0.1$) | 99.97 | 98.40 |
"""))'''
SOURCE = '''\
display(Markdown("""```python
class Affine:
    \\'\\'\\'z = x W + b, for a minibatch x of shape (N, inputs).\\'\\'\\'

    def backward(self, grad_output: Array) -> Array:
        self.grad_W = self.x.T @ grad_output  # the batch mean is taken in the loss, once
        self.grad_b = grad_output.sum(axis=0)
        return grad_output @ self.W.T
```"""))'''
TABLE = """\
import pandas as pd
pd.DataFrame({f"숫자 {n}을 {n}으로 본 횟수": range(3) for n in range(12)})"""
RESULTS = """\
display({"application/json": {"dataset": "mnist", "runs": {"ReLU": {"test_accuracy": 0.98}}}},
        raw=True)"""


def cell(kind: str, source: str, *tags: str) -> dict[str, Any]:
    made: dict[str, Any] = {"cell_type": kind, "source": source, "metadata": {}}
    if tags:
        made["metadata"]["tags"] = list(tags)
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def write_cells(path: Path, *cells: dict[str, Any]) -> Path:
    """Write a notebook file with fixed cell ids."""
    for number, made in enumerate(cells):
        made["id"] = f"cell-{number}"
    metadata = {
        "title": "MNIST 3층 신경망: 직접 구현",
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    }
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")
    return path


def write_sample(path: Path) -> Path:
    """Write a notebook that has every kind of cell and output."""
    derivation = "\n\n".join(
        [
            "## 모델과 유도",
            *(f"여기서 ${formula}$는 본문 안의 식이다." for formula in INLINE),
            *(f"$$\n{formula}\n$$" for formula in DISPLAY),
            "### 역전파\n\n앞의 절은 [여기](#모델과-유도)에 있다. `Affine.backward`를 보라.",
            "> 손실의 평균은 한 곳에서만 나눈다.",
        ]
    )
    return write_cells(
        path,
        cell("markdown", "# MNIST 3층 신경망: 직접 구현\n\n숫자를 읽는 신경망을 NumPy로 만든다."),
        cell("markdown", "## 준비\n\n실험의 조건은 다음 칸에 모았다."),
        cell("code", "EPOCHS = 20\nALPHA = 0.1", "parameters"),
        cell("code", "for n in range(3):\n    print('epoch', n, '/', EPOCHS, flush=True)"),
        cell("markdown", derivation),
        cell("code", FIGURE),
        cell("markdown", "### 해석"),
        cell("code", COMMENTARY),
        cell("code", SOURCE),
        cell("markdown", "## (a) 10x10 Confusion Matrix (using test data)\n\n### 해석"),
        cell("code", TABLE),
        cell("code", RESULTS, "results"),
    )


def results(framework: str, alpha: float, correct: dict[str, int]) -> dict[str, Any]:
    """Return what a notebook publishes, with ``correct`` images on the confusion diagonal."""
    run = {
        f"{part}_{what}": value
        for what, value in (("accuracy", 0.9876), ("loss", 0.0543))
        for part in ("train", "validation", "test")
    }
    matrix = [[0] * 10 for _ in range(10)]
    runs = {}
    for activation, count in correct.items():
        rows = [row.copy() for row in matrix]
        rows[0][0], rows[0][1] = count, 10_000 - count
        runs[activation] = run | {"confusion_matrix": rows, "test_accuracy": count / 10_000}
    sizes = {"n_train": 48_000, "n_validation": 12_000, "n_test": 10_000}
    shared = {"framework": framework, "dataset": "mnist", "recipe": {"alpha": alpha}, "seed": 0}
    return shared | sizes | {"runs": runs}


def write_results(root: Path, **changes: object) -> Path:
    """Write both results files under ``root/figures``."""
    (root / "figures").mkdir(parents=True, exist_ok=True)
    numpy = results("numpy", 0.1, {"ReLU": 9845, "LReLU": 9850}) | changes
    torch = results("torch", 0.3, {"ReLU": 9842, "LReLU": 9850}) | changes
    for kind, result in (("scratch", numpy), ("framework", torch)):
        path = root / "figures" / f"results_{kind}.json"
        path.write_text(json.dumps(result), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of which ``notebooks`` and then ``html`` were run."""
    root = write_results(tmp_path_factory.mktemp("repository"))
    write_sample(root / "notebooks" / "01_scratch_mlp.ipynb")
    write_cells(root / "notebooks" / "02_framework_mlp.ipynb", cell("code", "print('PyTorch')"))
    assert main(["notebooks", "--root", str(root)]) == 0
    assert main(["html", "--root", str(root)]) == 0
    return root


@pytest.fixture(scope="module")
def page(root: Path) -> BeautifulSoup:
    """The sample's page."""
    text = (root / "reports" / "01_scratch_mlp.html").read_text(encoding="utf-8")
    return BeautifulSoup(text, "html.parser")


def tiny(tmp_path: Path, *sources: str) -> Path:
    """Write a notebook of code cells, the first one tagged ``parameters``."""
    first, *rest = sources
    path = tmp_path / "notebooks" / "01_scratch_mlp.ipynb"
    return write_cells(path, cell("code", first, "parameters"), *(cell("code", s) for s in rest))


# Executing


def test_second_run_changes_no_byte(root: Path) -> None:
    files = sorted((root / "notebooks").iterdir())
    before = [file.read_bytes() for file in files]
    assert main(["notebooks", "--root", str(root)]) == 0
    assert [file.read_bytes() for file in files] == before
    assert [file.name for file in files] == ["01_scratch_mlp.ipynb", "02_framework_mlp.ipynb"]


def test_stream_of_flushed_lines_is_one_output_without_timestamps(root: Path) -> None:
    nb = read_notebook(root / "notebooks" / "01_scratch_mlp.ipynb")
    assert [len(c.outputs) for c in nb.cells if "flush" in c.source] == [1]
    assert not [c for c in nb.cells if "execution" in c.metadata]
    assert nb.metadata["mnist_mlp"] == {"source_sha256": source_hash(nb)}


def test_report_leaves_the_notebook_as_it_is(tmp_path: Path) -> None:
    path = tiny(tmp_path, "print('hello')")
    shutil.copy(path, path.with_name("02_framework_mlp.ipynb"))
    before = path.read_bytes()
    assert main(["report", "--root", str(tmp_path)]) == 0
    assert path.read_bytes() == before
    written = sorted(p.name for p in (tmp_path / "reports").iterdir())
    assert written == ["01_scratch_mlp.html", "02_framework_mlp.html", "index.html"]
    assert "hello" in (tmp_path / "reports" / "01_scratch_mlp.html").read_text(encoding="utf-8")


def test_notebooks_that_ran_without_mnist_replace_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = """\
import os
from pathlib import Path
folder = Path(os.environ["MNIST_MLP_OUTPUT"])
(folder / "results_framework.json").write_text('{"dataset": "sklearn-digits"}')"""
    path = root / "notebooks" / "02_framework_mlp.ipynb"
    original = path.read_bytes()
    try:
        write_cells(path, cell("code", source))
        before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
        assert main(["notebooks", "--root", str(root)]) == 1
        assert "ran on sklearn-digits, not on MNIST" in capsys.readouterr().err
        assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize("command", ["report", "notebooks"])
def test_failing_cell_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    path = tiny(tmp_path, "x = 0", "1 / x", "print('never')")
    before = path.read_bytes()
    assert main([command, "--root", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "01_scratch_mlp.ipynb, cell 2 of 3 (id cell-1) failed" in message
    assert "ZeroDivisionError" in message
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [path.name]


@pytest.mark.parametrize(
    ("source", "timeout"),
    [("import time; time.sleep(60)", 1), ("import os; os._exit(1)", 60)],
    ids=["too slow", "kernel dies"],
)
def test_stuck_cell_is_named(tmp_path: Path, source: str, timeout: int) -> None:
    with pytest.raises(ReportError, match=r"cell 2 of 2 \(id cell-1\) failed"):
        execute(tiny(tmp_path, "x = 0", source), timeout=timeout)


def test_parameters_replace_the_tagged_cells_values(tmp_path: Path) -> None:
    path = tiny(tmp_path, "EPOCHS = 20\nfile_path = None", "print(EPOCHS, file_path)")
    nb = execute(path, parameters={"EPOCHS": 2, "file_path": ["a.gz"]})
    assert nb.cells[-1].outputs[0].text == "2 ['a.gz']\n"
    with pytest.raises(ReportError, match="does not set 'EPOCH'"):
        execute(path, parameters={"EPOCH": 2})


def test_kernel_runs_in_the_notebooks_folder_or_in_cwd(tmp_path: Path) -> None:
    path = tiny(tmp_path, "import os", "print(os.getcwd())")
    assert execute(path).cells[-1].outputs[0].text == f"{path.parent}\n"
    assert execute(path, cwd=tmp_path).cells[-1].outputs[0].text == f"{tmp_path}\n"


def test_interrupted_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notebook.ipynb"
    write_atomically(path, "old")

    def half(self: Path, text: str, encoding: str) -> None:
        self.write_bytes(text[: len(text) // 2].encode(encoding))
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new text")
    assert path.read_bytes() == b"old"


def test_source_hash_follows_code_alone(tmp_path: Path) -> None:
    nb = read_notebook(write_cells(tmp_path / "n.ipynb", cell("markdown", "a"), cell("code", "b")))
    before = source_hash(nb)
    nb.cells[0].source = "another text"
    assert source_hash(nb) == before
    nb.cells[1].source = "another code"
    assert source_hash(nb) != before


# Formulas


def test_every_formula_is_drawn_and_labelled(page: BeautifulSoup) -> None:
    labels = [str(svg["aria-label"]) for svg in page.select("svg.math[role=img]")]
    assert labels == [*INLINE, *DISPLAY, r"-\log p", r"\alpha = 0.1"]
    assert all(svg.find(["use", "text"]) for svg in page.select("svg.math"))
    left = [text for text in page.select("main")[0].find_all(string=True) if "$" in text]
    assert all(text.find_parent("pre") for text in left)  # dollars are in code alone


def test_each_glyph_is_stored_once(page: BeautifulSoup) -> None:
    glyphs = {str(symbol["id"]) for symbol in page.select("svg.glyphs symbol")}
    used = {str(use["href"]).removeprefix("#") for use in page.select("svg.math use")}
    assert used <= glyphs
    ids = [str(element["id"]) for element in page.select("[id]")]
    assert len(ids) == len(set(ids))


def test_korean_in_a_formula_is_text_in_reading_order() -> None:
    drawn = BeautifulSoup(Page().formula(r"\text{손실}_{\text{검증}} = \text{값}"), "html.parser")
    assert "".join(text.get_text() for text in drawn.select("text")) == "손실검증값"


@pytest.mark.parametrize("body", [r"\sum_j x_j", r"\prod_k p_k", r"\sum_{i=1}^{N} x_i"])
def test_brackets_around_a_tall_operator_stay_small(body: str) -> None:
    drawn = BeautifulSoup(Page().formula(rf"\left( {body} \right)", display=True), "html.parser")
    height = float(str(drawn.select("svg")[0]["viewbox"]).split()[3])
    assert height < 80  # px, at 16 px an em


@pytest.mark.parametrize(
    "latex", [r"\frac{a}", r"\undefined{x}", r"\text{漢字}", r"\mathbin{/}", " "]
)
def test_what_cannot_be_drawn_stops_the_build_and_is_named(tmp_path: Path, latex: str) -> None:
    path = write_cells(tmp_path / "n.ipynb", cell("markdown", f"$$\n{latex}\n$$"))
    with pytest.raises(ReportError, match="cell cell-0: formula") as failure:
        to_html(read_notebook(path))
    assert latex in str(failure.value)


# The page


def test_page_is_korean_titled_and_small(root: Path, page: BeautifulSoup) -> None:
    assert page.html is not None
    assert page.html["lang"] == "ko"
    assert page.title is not None
    assert page.title.string == "MNIST 3층 신경망: 직접 구현"
    for file in (root / "reports").iterdir():
        assert file.stat().st_size < 3_000_000


def test_page_loads_nothing(root: Path) -> None:
    for file in (root / "reports").glob("*.html"):
        text = file.read_text(encoding="utf-8")
        html = BeautifulSoup(text, "html.parser")
        for element in html.select("link, script, img, iframe, object, embed, source, video"):
            source = str(element.get("src") or element.get("href") or "data:")
            assert source.startswith("data:"), source
        assert "@import" not in text
        assert "url(" not in text


def test_contents_list_every_section_and_lead_there(page: BeautifulSoup) -> None:
    links = page.select(".toc a")
    assert [link.get_text() for link in links] == [
        *("준비", "모델과 유도", "역전파", "해석"),
        *("(a) 10x10 Confusion Matrix (using test data)", "해석"),
    ]
    targets = [page.find(id=str(link["href"]).removeprefix("#")) for link in links]
    assert [target.get_text() for target in targets if target] == [a.get_text() for a in links]
    assert len({id(target) for target in targets}) == len(links)  # equal headings differ in id


def test_code_and_results_are_folded_and_outputs_are_not(page: BeautifulSoup) -> None:
    assert len(page.select("details.code:not([open])")) == 7
    (results,) = page.select("details.results:not([open]) pre")
    assert json.loads(results.get_text())["runs"] == {"ReLU": {"test_accuracy": 0.98}}
    (listing,) = [h for h in page.select(".highlight") if not h.find_parent("details")]
    assert listing.select_one(".nc")  # class names are coloured
    assert page.select("pre.output")[0].get_text().startswith("epoch 0 / 20")


def test_figure_carries_its_alt_text_and_width(page: BeautifulSoup) -> None:
    (image,) = page.select("figure img")
    assert image["alt"] == ALT
    assert image["width"] == "900"


def test_tables_have_a_box_that_scrolls_and_no_empty_header(page: BeautifulSoup) -> None:
    tables = page.select("table")
    assert len(tables) == 2
    assert all(table.find_parent(class_="scroll") for table in tables)
    assert all(header.get_text(strip=True) for header in page.select("th"))


# The index and the PDF


def test_index_shows_four_networks_and_counts_images(root: Path) -> None:
    index = (root / "reports" / "index.html").read_text(encoding="utf-8")
    html = BeautifulSoup(index, "html.parser")
    rows = [row.get_text(" ", strip=True) for row in html.select("tbody tr")]
    assert rows[0].startswith("NumPy ReLU 98.76 98.76 98.45 0.0543")
    assert rows[3].startswith("LReLU (α = 0.3) 98.76 98.76 98.50")
    assert len(rows) == 4
    assert "NumPy는 9,845장, PyTorch는 9,842장을 맞혔다. NumPy가 3장(0.03%p) 많다." in index
    assert "두 수가 같다." in index
    assert "정답 수 하나의 표준오차는 약 12장" in index  # sqrt(10000 * 0.985 * 0.015) = 12.2
    assert {a["href"] for a in html.select(".cards a")} == {
        *("01_scratch_mlp.html", "02_framework_mlp.html")
    }
    assert not html.select(".banner")


def test_index_warns_of_another_dataset(tmp_path: Path) -> None:
    index = summary(write_results(tmp_path, dataset="sklearn-digits") / "figures")
    (banner,) = BeautifulSoup(index, "html.parser").select(".banner")
    assert "MNIST의 결과가 아니다" in banner.get_text()
    assert "sklearn-digits" in banner.get_text()


def test_index_says_which_results_are_missing(tmp_path: Path) -> None:
    write_results(tmp_path)
    (tmp_path / "figures" / "results_framework.json").unlink()
    html = BeautifulSoup(summary(tmp_path / "figures"), "html.parser")
    assert "results_framework.json" in html.select(".banner")[0].get_text()
    assert len(html.select("tbody tr")) == 2


def test_pdf_without_a_browser_says_so(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["pdf", "--root", str(root)]) == 1
    assert "no Chromium found" in capsys.readouterr().err
