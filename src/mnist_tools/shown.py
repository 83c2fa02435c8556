"""What a notebook shows its reader: cells, sections, figures and text.

Others wrote it: sizes are looked at before contents, and what is repeated to the user is printable.
"""

import base64
import io
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from nbconvert.filters import markdown2html
from nbformat import NotebookNode
from numpy.typing import NDArray
from PIL import Image

from mnist_mlp.data import Dataset

HEADINGS = {
    "a": "(a) 10x10 Confusion Matrix (using test data)",
    "b": "(b) Top 3 score images (all classes) using test data",
    "c": "(c) Training Loss graph using train, validation data",
}
HIDING = ("raises-exception", "skip-execution")  # tags that hide errors or skip cells
PIXELS = 30_000_000  # in a figure; ours have 4 million
ATTRIBUTES = r"""(?:"[^"]*"|'[^']*'|[^'"<>])*?"""  # as a browser reads them: quotes hide a >
ACTIVE = re.compile(
    r"<(script|iframe|frame|object|embed|applet|form|meta|base|link)\b"
    rf"|<{ATTRIBUTES}[\s/\"'](on\w+|srcdoc)\s*="
    r"|=[\s\"']*(javascript:|data:text/html)",
    re.IGNORECASE,
)


@dataclass
class Side:
    """A notebook as submitted or as re-run (``label``), or why it could not be read or executed.

    ``found`` has the arrays that the re-run's kernel held at the end, ``data`` the grader's own
    copy of what the kernel should have loaded.
    """

    label: str
    nb: NotebookNode
    error: str = ""
    found: dict[str, Any] = field(default_factory=dict)
    data: Dataset | None = None

    @property
    def results(self) -> dict[str, Any]:
        """What the notebook publishes; nothing unless there is just one such output."""
        cells = [cell for cell in code_cells(self.nb) if "results" in tags(cell)]
        found = data(cells, "application/json")
        return found[0] if len(found) == 1 and isinstance(found[0], dict) else {}

    @property
    def truth(self) -> Dataset:
        """The grader's own data, or ValueError if the results name none that it knows."""
        if self.data is None:
            raise ValueError("채점기가 모르는 dataset이나 seed")
        return self.data

    def logits(self, name: str) -> NDArray[Any]:
        """Return a run's logits of the test images (N, 10), or ValueError about their shape."""
        logits: NDArray[Any] = self.found[f"{name} logits"]
        if logits.shape != (len(self.truth.test.labels), 10):
            raise ValueError(f"로짓의 모양이 {logits.shape}")
        return logits


def tags(cell: NotebookNode) -> list[str]:
    """Return a cell's tags."""
    return list(cell.metadata.get("tags", []))


def code_cells(nb: NotebookNode) -> list[NotebookNode]:
    """Return the cells that an execution numbers."""
    return [cell for cell in nb.cells if cell.cell_type == "code" and cell.source.strip()]


def place(nb: NotebookNode, cell: NotebookNode) -> str:
    """Say where a cell is."""
    return f"{nb.cells.index(cell) + 1}번째 셀({cell.id})"


def outputs(cells: list[NotebookNode], kind: str) -> list[NotebookNode]:
    """Return the outputs of cells that have data of a MIME type."""
    found = [output for cell in cells for output in cell.get("outputs", [])]
    return [output for output in found if kind in output.get("data", {})]


def data(cells: list[NotebookNode], kind: str) -> list[Any]:
    """Return the data of a MIME type that cells put out."""
    return [output.data[kind] for output in outputs(cells, kind)]


def figures(cells: list[NotebookNode]) -> list[tuple[str, str]]:
    """Return the figures that cells put out: a base64 PNG and its alternative text each."""
    png = "image/png"
    return [(o.data[png], o.metadata.get(png, {}).get("alt", "")) for o in outputs(cells, png)]


def pixels(picture: str) -> NDArray[np.uint8]:
    """Return the pixels (height, width, 4) of a base64 PNG, or raise ValueError if it has too many.

    The header alone says how many: a small file can hold gigabytes.
    """
    image = Image.open(io.BytesIO(base64.b64decode(picture)), formats=["PNG"])
    if image.width * image.height > PIXELS:
        raise ValueError(f"그림이 너무 큼: {image.width} x {image.height}")
    return np.asarray(image.convert("RGBA"))


@lru_cache(maxsize=100)
def blank(picture: str) -> bool:
    """Whether a picture is too small to show anything, or of one colour almost everywhere."""
    image = pixels(picture)
    return min(image.shape[:2]) < 100 or bool((image != image[0, 0]).any(axis=2).mean() < 0.001)


def section(nb: NotebookNode, letter: str) -> list[NotebookNode]:
    """Return the cells from the assignment's heading to the next of its level."""
    cells: list[NotebookNode] = []
    level = 0
    for cell in nb.cells:
        heading = re.search(r"^(#+) (.*)", cell.source, re.MULTILINE)
        if heading and cell.cell_type == "markdown":
            if cells and len(heading[1]) <= level:
                break
            if not cells and HEADINGS[letter] in " ".join(heading[2].split()):
                level = len(heading[1])
        if level:
            cells.append(cell)
    return cells


def markdown(cells: list[NotebookNode]) -> str:
    """Return the text of Markdown cells, then of Markdown outputs."""
    sources = [cell.source for cell in cells if cell.cell_type == "markdown"]
    return "\n\n".join(sources + data(cells, "text/markdown"))


def hangul(text: str) -> int:
    """Count the Korean syllables outside of tables."""
    return len(re.findall("[가-힣]", re.sub(r"(?m)^\s*\|.*$", "", text)))


def numbers(text: str) -> NDArray[np.float64]:
    """Return the numbers of a text, (n, 2): each with the step of its last digit.

    It is 0 for a decimal of two digits: what that says, it must say exactly. Counts have three.
    """
    found = re.findall(r"(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+)(?:e(-?\d\d?)\b)?)?", text)
    rows = []
    for whole, decimals, power in found:
        digits = whole.replace(",", "") + decimals
        step = 10.0 ** (int(power or 0) - len(decimals))
        rounded = len(digits.lstrip("0") + power) > 2
        if rounded or decimals:
            rows.append((float(digits) * step, step * rounded))
    return np.array(rows).reshape(-1, 2)


def states(stated: NDArray[np.float64], *values: float) -> bool:
    """Whether one of the ``numbers`` is a value when rounded, as a fraction or in percent."""
    number, step = stated.T
    distance = np.abs(number - np.outer([1, 100], values).reshape(-1, 1))
    return bool((distance <= 0.501 * step + 1e-13 * number).any())


def same_pictures(one: NotebookNode, other: NotebookNode) -> bool:
    """Whether two cells put out the same pixels; files differ by how programs compress them."""
    old, new = ([picture for picture, _ in figures([cell])] for cell in (one, other))
    return len(old) == len(new) and all(
        a == b or np.array_equal(pixels(a), pixels(b)) for a, b in zip(old, new, strict=True)
    )


def words(cell: NotebookNode) -> list[str]:
    """Return all that a cell's outputs say, but for pictures and results (compared elsewhere).

    Programs cut a stream into outputs in different places; a reader sees it whole.
    """
    streams = "".join(output.get("text", "") for output in cell.outputs)
    pairs = [pair for output in cell.outputs for pair in sorted(output.get("data", {}).items())]
    said = [str(text) for kind, text in pairs if kind not in ("image/png", "application/json")]
    return "\n".join([streams, *said, *(text for _, text in figures([cell]))]).split()


def active_html(cell: NotebookNode) -> list[str]:
    """Name what a browser would run or load if it showed a cell and its outputs as they are."""
    html = data([cell], "text/html") + data([cell], "image/svg+xml")
    texts = data([cell], "text/markdown") + [cell.source] * (cell.cell_type == "markdown")
    html += [markdown2html(text) if len(text) < 200_000 else text for text in texts]
    return [found[0][:40] for text in html if (found := ACTIVE.search(str(text)))]


def printable(text: str) -> str:
    """Shorten a text, and take out what could rewrite the reader's terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:300])
