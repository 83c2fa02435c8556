"""Build ``dist/*.ipynb``: each notebook as a single file that carries the code and data it uses.

For ``File > Upload notebook`` in Colab: the first cells write the package, as plain text that
anybody can read, and the stored seed study to a folder beside the notebook.
"""

import base64
import gzip
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from mnist_mlp.study import STUDY_FILE
from mnist_tools import files, links

FOLDER = "mnist-mlp-files"
TEXT = f"""\
## 0. 이 노트북이 쓰는 코드와 자료

저장소의 `src/mnist_mlp/`와 `data/{STUDY_FILE.name}`을 그대로 옮긴 셀들이다. 실행하면 노트북 옆의
`{FOLDER}` 폴더에 저장된다. 패키지는 설치하지 않는다."""
PREPARE = """\
import base64
import gzip
import sys
from pathlib import Path

for folder in {folders}:
    Path(folder).mkdir(parents=True, exist_ok=True)
sys.path.insert(0, str(Path("{source}").absolute()))"""
WRITE_STUDY = '''\
# 시드 반복 실험의 결과: 학습 한 번에 한 줄 (압축한 것)
archive = """
{archive}"""
Path("{path}").write_bytes(gzip.decompress(base64.b64decode(archive)))
print("Writing {path}")'''


def carried_cells(root: Path) -> list[NotebookNode]:
    """Return the cells that write the package and the study.

    Viewers fold them at first, and nbconvert (from 7.17) leaves their source out of its HTML.
    """
    study = root / "data" / STUDY_FILE.name
    modules = files.package_files(root / "src" / "mnist_mlp")
    targets = {file: f"{FOLDER}/{file.relative_to(root).as_posix()}" for file in [*modules, study]}
    folders = sorted({target.rpartition("/")[0] for target in targets.values()})
    sources = [PREPARE.format(folders=folders, source=f"{FOLDER}/src")]
    for file in modules:
        text = file.read_text(encoding="utf-8").removesuffix("\n")  # %%writefile adds it again
        sources.append(f"%%writefile {targets[file]}\n{text}")
    archive = base64.encodebytes(gzip.compress(study.read_bytes(), mtime=0)).decode()
    sources.append(WRITE_STUDY.format(archive=archive, path=targets[study]))
    cells = [nbformat.v4.new_markdown_cell(TEXT), *map(nbformat.v4.new_code_cell, sources)]
    for number, cell in enumerate(cells):
        cell.id = f"carried-{number}"
        cell.metadata = NotebookNode(
            id=cell.id,
            jupyter={"source_hidden": number > 1},
            transient={"remove_source": True},
        )
    cells[0].metadata = NotebookNode({"id": "carried-0", "jp-MarkdownHeadingCollapsed": True})
    return cells


def single_file(nb: NotebookNode, carried: list[NotebookNode]) -> NotebookNode:
    """Return the notebook with the carried cells, without outputs and the search for a repository.

    Raises ReportError if it does not have the cell that the carried ones replace.
    """
    if "find-repository" not in {cell.id for cell in nb.cells}:
        title = nb.metadata.get("title", "the notebook")
        raise files.ReportError(f"{title}: no cell with the id find-repository")
    cells: list[NotebookNode] = []
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        cells += carried if cell.id == "find-repository" else [cell]
    metadata = dict(nb.metadata, colab={"collapsed_sections": [carried[0].id]})
    metadata.pop("mnist_mlp", None)  # the hash of what made the outputs
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def build() -> None:
    """Write the repository's links and both files; say what was written."""
    links.update(Path())
    for name in files.NOTEBOOKS.values():
        nb = files.read_notebook(Path("notebooks", f"{name}.ipynb"))
        target = Path("dist", f"{name}.ipynb")
        files.write_notebook(target, single_file(nb, carried_cells(Path())))
        print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    sys.exit(files.exit_code(build, needs="notebooks"))
