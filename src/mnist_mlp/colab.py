"""Build ``dist/*.ipynb``: each notebook as a single file that carries the code and data it uses.

For ``File > Upload notebook`` in Colab: the first cells write the package's modules and the stored
seed study, as plain text that anybody can read, to a folder beside the notebook.
"""

import argparse
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from mnist_mlp.files import NOTEBOOKS, ReportError, read_notebook, speak_utf8, write_atomically
from mnist_mlp.report import TOOLS

FOLDER = "mnist-mlp-files"
TEXT = f"""\
## 0. 이 노트북이 쓰는 코드와 자료

저장소의 `src/mnist_mlp/`와 `data/study.csv`를 그대로 옮긴 셀들이다. 실행하면 노트북 옆의
`{FOLDER}` 폴더에 저장된다. 패키지는 설치하지 않는다."""
PREPARE = f"""\
import sys
from pathlib import Path

for folder in ("src/mnist_mlp", "data"):
    Path("{FOLDER}", folder).mkdir(parents=True, exist_ok=True)
sys.path.insert(0, str(Path("{FOLDER}", "src").absolute()))"""


def carried_cells(root: Path) -> list[NotebookNode]:
    """Return the cells that write the modules and the study; viewers fold them at first."""
    files = [p for p in sorted(root.glob("src/mnist_mlp/*.py")) if p.stem not in TOOLS]
    files.append(root / "data" / "study.csv")
    cells = [nbformat.v4.new_markdown_cell(TEXT), nbformat.v4.new_code_cell(PREPARE)]
    for file in files:
        text = file.read_text(encoding="utf-8").removesuffix("\n")  # %%writefile adds it again
        path = f"{FOLDER}/{file.relative_to(root).as_posix()}"
        cells.append(nbformat.v4.new_code_cell(f"%%writefile {path}\n{text}"))
    for number, cell in enumerate(cells):
        cell.id = f"carried-{number}"
        cell.metadata = NotebookNode({"id": cell.id, "jupyter": {"source_hidden": number > 1}})
    cells[0].metadata = NotebookNode({"id": "carried-0", "jp-MarkdownHeadingCollapsed": True})
    return cells


def single_file(nb: NotebookNode, carried: list[NotebookNode]) -> NotebookNode:
    """Return the notebook with the carried cells, without outputs and the search for a repository.

    Raises
    ------
    ReportError
        If the notebook does not have the cells by which this finds its way.
    """
    if missing := {"setup", "find-repository"} - {cell.id for cell in nb.cells}:
        raise ReportError(
            f"{nb.metadata.get('title', 'the notebook')}: no cell with the id "
            f"{', '.join(sorted(missing))}"
        )
    cells: list[NotebookNode] = []
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        cells += carried if cell.id == "setup" else []
        cells += [cell] if cell.id != "find-repository" else []
    metadata = dict(nb.metadata, colab={"collapsed_sections": [carried[0].id]})
    metadata.pop("mnist_mlp", None)  # the hash of what made the outputs
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mnist_mlp.colab", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the repository (default: .)")
    root = parser.parse_args(arguments).root
    try:
        for name in NOTEBOOKS.values():
            nb = single_file(
                read_notebook(root / "notebooks" / f"{name}.ipynb"), carried_cells(root)
            )
            target = root / "dist" / f"{name}.ipynb"
            write_atomically(target, nbformat.writes(nb) + "\n")
            print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")
    except (ReportError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    speak_utf8()
    sys.exit(main())
