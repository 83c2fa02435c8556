"""The command line: two tiny notebooks in a made-up repository."""

import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from executed import contents
from made_up_notebook import cell, write_cells, write_code

import mnist_mlp
from mnist_mlp import weights
from mnist_mlp.run import Run
from mnist_tools import report
from mnist_tools.files import NOTEBOOKS, read_notebook
from mnist_tools.report import main, source_hash

FIRST, SECOND = (Path("notebooks", f"{name}.ipynb") for name in NOTEBOOKS.values())
ON_DIGITS = """\
import os
from pathlib import Path
folder = Path(os.environ["MNIST_MLP_OUTPUT"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "results_framework.json").write_text('{"dataset": "sklearn-digits"}')"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two notebooks; the second one saves results on MNIST."""
    monkeypatch.chdir(tmp_path)
    write_code(FIRST, "print('NumPy')")
    write_code(SECOND, ON_DIGITS.replace("sklearn-digits", "mnist"), "print('PyTorch')")
    return tmp_path


def links(page: str) -> list[str]:
    html = BeautifulSoup(Path("reports", page).read_text(encoding="utf-8"), "html.parser")
    return [str(link["href"]) for link in html.select(".others a")]


def test_notebooks_are_executed_in_place_and_their_figures_saved(root: Path) -> None:
    assert main(["notebooks"]) == 0
    assert contents(root).keys() == {str(FIRST), str(SECOND), "figures/results_framework.json"}
    nb = read_notebook(SECOND)
    assert nb.cells[-1].outputs[0].text == "PyTorch\n"
    assert nb.metadata["mnist_mlp"] == {"source_sha256": source_hash(nb)}


def test_report_changes_nothing_but_reports_and_links_to_the_drawing_page_of_its_networks(
    root: Path, trained: dict[str, Run], capsys: pytest.CaptureFixture[str]
) -> None:
    saved = root / "trained.npz"
    saved.write_bytes(weights.to_bytes("numpy", "sklearn-digits", trained))
    save = f"(folder / 'weights_scratch.npz').write_bytes(Path({str(saved)!r}).read_bytes())"
    write_code(FIRST, f"{ON_DIGITS}\n{save}")
    before = contents(root)
    first, second = (f"{name}.html" for name in NOTEBOOKS.values())
    assert main(["report"]) == 0
    told = [str(Path("reports", page)) for page in ("draw.html", first, second)]
    lines = capsys.readouterr().out.splitlines()
    assert told[0] in lines
    assert lines[-2:] == told[1:]
    after = contents(root)
    assert {path: after[path] for path in after if not path.startswith("reports/")} == before
    assert links(first) == [second, "draw.html"]
    assert links(second) == [first, "draw.html"]
    assert links("draw.html") == [first, second]
    assert "MNIST가 아님" in Path(told[0]).read_text(encoding="utf-8")

    write_code(FIRST, "print('saves nothing')")
    write_code(SECOND, "import no_torch_here")
    assert main(["report", "--only", "01"]) == 0
    assert links(first) == []  # what an earlier run saved is not this run's


def test_html_executes_nothing(root: Path) -> None:
    write_code(SECOND, "1 / 0")
    assert main(["html"]) == 0
    assert len(list(Path("reports").glob("*.html"))) == 2


@pytest.mark.parametrize("command", ["report", "notebooks"])
def test_failing_cell_is_named_and_nothing_is_written(
    root: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    write_code(FIRST, "x = 0", "1 / x", "print('never')")
    before = contents(root)
    assert main([command]) == 1
    message = capsys.readouterr().err
    assert "01_scratch_mlp.ipynb, cell 2 of 3 (id cell-1) failed" in message
    assert "ZeroDivisionError" in message
    assert contents(root) == before


def test_notebooks_that_ran_on_the_digits_replace_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_code(SECOND, ON_DIGITS)
    before = contents(root)
    assert main(["notebooks"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "ran on sklearn-digits, not on MNIST" in line
    assert contents(root) == before


def test_a_full_disk_replaces_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    for folder in (new, old):
        folder.mkdir()
        (folder / "1.png").write_text(folder.name)
    (new / "2.png").symlink_to("nowhere")  # as good as no space left for it
    with pytest.raises(OSError, match=r"2\.png"):
        report.replace_files(new, old)
    assert contents(old) == {"1.png": b"old"}


def test_source_hash_follows_code_modules_and_templates_but_no_text_and_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mnist_mlp"
    package.mkdir()
    monkeypatch.setattr(mnist_mlp, "__file__", str(package / "__init__.py"))
    module, template = package / "__init__.py", package / "data.md.j2"

    def hashed(text: str = "a", code: str = "b") -> str:
        path = write_cells(tmp_path / "n.ipynb", cell("markdown", text), cell("code", code))
        return source_hash(read_notebook(path))

    assert hashed("a") == hashed("another text")
    assert hashed(code='REPO_URL = ""\nb') == hashed(code='REPO_URL = "https://github.com/a/b"\nb')
    hashes = [hashed(), hashed(code="another code")]
    module.write_text("x = 1")
    hashes.append(hashed())
    template.write_text("{{ x }}")
    assert len({*hashes, hashed()}) == 4


def test_pdf_without_a_browser_says_so(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["pdf"]) == 1
    assert "no Chromium found" in capsys.readouterr().err


def test_outside_of_the_repository_a_command_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["html"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: there is no notebooks/ here")
    assert list(tmp_path.iterdir()) == []
