"""Write where the repository is on GitHub into the README and the notebooks: ``make colab``."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import nbformat
from nbformat import NotebookNode

from mnist_tools.files import (
    NOTEBOOKS,
    ReportError,
    read_notebook,
    replace_section,
    write_notebook,
)

ADDRESS = re.compile(r'^REPO_URL = ".*"$', re.MULTILINE)
"""The line of the cell ``find-repository`` that says what Colab clones."""
ON_GITHUB = re.compile(
    r"(?:https://(?:[^@/]*@)?github\.com/|(?:ssh://)?git@(?:ssh\.)?github\.com(?::\d+)?[:/])"
    r"([\w-]+)/([\w.-]+?)(?:\.git)?/?"
)
README = """\
[![Colab에서 열기](https://colab.research.google.com/assets/colab-badge.svg)]({colab}/01_scratch_mlp.ipynb)
[![테스트]({github}/actions/workflows/test.yml/badge.svg)]({github}/actions/workflows/test.yml)
[완성된 보고서](https://{owner}.github.io/{name}/)"""
NOTEBOOK = "[이 노트북을 Colab에서 열기]({colab}/{notebook}.ipynb)"
COLAB = "https://colab.research.google.com/github/{owner}/{name}/blob/{branch}/notebooks"


def git(root: Path, *command: str) -> str:
    """Return what git says of a checkout; nothing without git, or in another one's folder."""
    here_only = os.environ | {"GIT_CEILING_DIRECTORIES": str(root.resolve().parent)}
    if not (program := shutil.which("git")):
        return ""
    line = [program, "-C", str(root), *command]
    return subprocess.run(line, env=here_only, capture_output=True, text=True).stdout.strip()  # noqa: S603


def origin(root: Path) -> dict[str, str]:
    """Return what the links of a checkout consist of; nothing unless its origin is on GitHub.

    A password in the address stays where it is.
    """
    found = ON_GITHUB.fullmatch(git(root, "remote", "get-url", "origin"))
    if not found:
        return {}
    owner, name = found.groups()
    branch = quote(git(root, "branch", "--show-current") or "main")
    return {
        "owner": owner,
        "name": name,
        "github": f"https://github.com/{owner}/{name}",
        "colab": COLAB.format(owner=owner, name=name, branch=branch),
    }


def with_links(nb: NotebookNode, name: str, parts: dict[str, str]) -> NotebookNode:
    """Return the notebook ``name`` with a link to itself in Colab and what is cloned there."""
    cells = {cell.id: cell for cell in nb.cells}
    if "find-repository" not in cells or len(ADDRESS.findall(cells["find-repository"].source)) != 1:
        raise ReportError(f'{name}: the cell find-repository must have one line REPO_URL = "..."')
    line = f'REPO_URL = "{parts["github"]}"'
    cells["find-repository"].source = ADDRESS.sub(line, cells["find-repository"].source)
    if "open-in-colab" not in cells:
        made = nbformat.v4.new_markdown_cell(id="open-in-colab")
        nb.cells.insert(nb.cells.index(cells["find-repository"]), made)
        cells["open-in-colab"] = made
    cells["open-in-colab"].source = NOTEBOOK.format(**parts, notebook=name)
    return nb


def update(root: Path) -> None:
    """Write the links of a checkout on GitHub; elsewhere say so and leave what is there."""
    parts = origin(root)
    if not parts:
        print(
            "알림: 이 저장소의 origin이 GitHub에 있지 않아, README와 노트북의 Colab 링크와 "
            "복제 주소는 그대로 둡니다."
        )
        return
    replace_section(root / "README.md", "links", README.format(**parts))
    for name in NOTEBOOKS.values():
        path = root / "notebooks" / f"{name}.ipynb"
        write_notebook(path, with_links(read_notebook(path), name, parts))
    print(f"README와 노트북의 링크: {parts['github']}")
