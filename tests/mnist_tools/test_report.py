"""The command line: two tiny notebooks in a made-up repository."""

import errno
import shutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from made_up_notebook import cell, write_cells, write_code

import mnist_mlp
from mnist_mlp import weights
from mnist_mlp.run import Run
from mnist_tools.files import NOTEBOOKS, read_notebook
from mnist_tools.report import main, source_hash

ON_DIGITS = """\
import os
from pathlib import Path
folder = Path(os.environ["MNIST_MLP_OUTPUT"])
folder.mkdir(parents=True, exist_ok=True)
(folder / "results_framework.json").write_text('{"dataset": "sklearn-digits"}')"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two notebooks; the second one saves results on MNIST."""
    write_code(tmp_path / "notebooks" / "01_scratch_mlp.ipynb", "print('NumPy')")
    source = ON_DIGITS.replace("sklearn-digits", "mnist")
    write_code(tmp_path / "notebooks" / "02_framework_mlp.ipynb", source, "print('PyTorch')")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_notebooks_are_executed_in_place_and_a_second_run_changes_no_byte(root: Path) -> None:
    assert main(["notebooks"]) == 0
    before = contents(root)
    assert sorted(path.name for path in before) == [
        *("01_scratch_mlp.ipynb", "02_framework_mlp.ipynb", "results_framework.json")
    ]
    nb = read_notebook(root / "notebooks" / "02_framework_mlp.ipynb")
    assert nb.cells[-1].outputs[0].text == "PyTorch\n"
    assert nb.metadata["mnist_mlp"] == {"source_sha256": source_hash(nb)}
    assert main(["notebooks"]) == 0
    assert contents(root) == before


def test_report_changes_nothing_but_reports_and_tells_the_pages_last(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(root)
    assert main(["report"]) == 0
    pages = [Path("reports", f"{name}.html") for name in NOTEBOOKS.values()]
    assert capsys.readouterr().out.splitlines()[-2:] == [str(page) for page in pages]
    assert {p: b for p, b in contents(root).items() if "reports" not in p.parts} == before
    for page, other in zip(pages, reversed(pages), strict=True):
        html = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
        (link,) = html.select(".others a")
        assert page.parent / str(link["href"]) == other
    assert "PyTorch" in pages[1].read_text(encoding="utf-8")


def test_only_one_notebook_is_run_where_it_alone_can_be(root: Path) -> None:
    write_code(root / "notebooks" / "02_framework_mlp.ipynb", "import no_torch_here")
    assert main(["report", "--only", "01"]) == 0
    (page,) = (root / "reports").glob("*.html")
    html = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")
    assert (page.stem, html.select(".others a")) == ("01_scratch_mlp", [])


def test_both_pages_link_to_the_drawing_page_where_the_first_notebook_has_saved_its_networks(
    root: Path, trained: dict[str, Run], capsys: pytest.CaptureFixture[str]
) -> None:
    def links() -> list[list[str]]:
        pages = [Path("reports", f"{name}.html").read_text("utf-8") for name in NOTEBOOKS.values()]
        soups = [BeautifulSoup(page, "html.parser") for page in pages]
        return [[str(link["href"]) for link in soup.select(".others a")] for soup in soups]

    saved = root / "trained.npz"
    saved.write_bytes(weights.to_bytes("numpy", "sklearn-digits", trained))
    save = f"(folder / 'weights_scratch.npz').write_bytes(Path({str(saved)!r}).read_bytes())"
    write_code(root / "notebooks" / "01_scratch_mlp.ipynb", f"{ON_DIGITS}\n{save}")
    first, second = (f"{name}.html" for name in NOTEBOOKS.values())
    assert main(["report"]) == 0
    assert links() == [[second, "draw.html"], [first, "draw.html"]]
    drawing = BeautifulSoup(Path("reports", "draw.html").read_text("utf-8"), "html.parser")
    assert [str(link["href"]) for link in drawing.select(".others a")] == [first, second]
    assert str(Path("reports", "draw.html")) in capsys.readouterr().out.splitlines()

    assert main(["html"]) == 0  # nothing was trained: figures/ holds no networks
    assert links() == [[second], [first]]
    write_code(root / "notebooks" / "01_scratch_mlp.ipynb", "print('saves nothing')")
    assert main(["report"]) == 0  # what an earlier run saved is not this run's
    assert links() == [[second], [first]]


def test_html_executes_nothing(root: Path) -> None:
    write_code(root / "notebooks" / "02_framework_mlp.ipynb", "1 / 0")
    assert main(["html"]) == 0
    assert len(list((root / "reports").glob("*.html"))) == 2


def test_notebooks_that_ran_without_mnist_replace_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_code(root / "notebooks" / "02_framework_mlp.ipynb", ON_DIGITS)
    before = contents(root)
    assert main(["notebooks"]) == 1
    assert "ran on sklearn-digits, not on MNIST" in capsys.readouterr().err
    assert contents(root) == before


@pytest.mark.parametrize("command", ["report", "notebooks"])
def test_failing_cell_is_named_and_nothing_is_written(
    root: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    write_code(root / "notebooks" / "01_scratch_mlp.ipynb", "x = 0", "1 / x", "print('never')")
    before = contents(root)
    assert main([command]) == 1
    message = capsys.readouterr().err
    assert "01_scratch_mlp.ipynb, cell 2 of 3 (id cell-1) failed" in message
    assert "ZeroDivisionError" in message
    assert contents(root) == before


def test_a_full_disk_leaves_every_figure_and_notebook_as_it_was(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["notebooks"]) == 0
    before = contents(root)
    write_code(root / "notebooks" / "01_scratch_mlp.ipynb", "print('changed')")
    before |= contents(root / "notebooks")

    def full(source: Path, target: str) -> None:
        (Path(target) / source.name).write_bytes(b"")
        raise OSError(errno.ENOSPC, "No space left on device", str(source))

    monkeypatch.setattr(shutil, "copy", full)
    capsys.readouterr()
    assert main(["notebooks"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device" in line
    assert "results_framework.json" in line
    assert contents(root) == before


def test_source_hash_follows_code_modules_and_templates_but_no_text_and_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mnist_mlp"
    monkeypatch.setattr(mnist_mlp, "__file__", str(package / "__init__.py"))

    def hashed(files: dict[str, str], text: str = "a", code: str = "b") -> str:
        shutil.rmtree(package, ignore_errors=True)
        package.mkdir()
        for name, content in files.items():
            (package / name).write_text(content)
        path = write_cells(tmp_path / "n.ipynb", cell("markdown", text), cell("code", code))
        return source_hash(read_notebook(path))

    files = {"__init__.py": "", "data.md.j2": ""}
    before = hashed(files)
    places = [f'REPO_URL = "{url}"\nb' for url in ("", "https://github.com/one/two")]
    assert len({hashed(files, code=code) for code in places}) == 1
    assert hashed(files | {"notes.txt": "no source"}, text="another text") == before
    changed = [files | {"__init__.py": "x = 1"}, files | {"data.md.j2": "{{ x }}"}]
    renamed = {"__init__.py": "", "text.md.j2": ""}
    others = [*(hashed(other) for other in (*changed, renamed)), hashed(files, code="another code")]
    assert len({before, *others}) == 5


def test_pdf_without_a_browser_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["pdf"]) == 1
    assert "no Chromium found" in capsys.readouterr().err
