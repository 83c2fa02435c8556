"""A notebook as one HTML page that needs no network: nbconvert with our template."""

import base64
import hashlib
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import jinja2
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import (
    InvalidNotebook,
    IPythonRenderer,
    MarkdownWithMath,
)
from nbformat import NotebookNode
from traitlets.config import Config

from mnist_tools.files import ReportError
from mnist_tools.formulas import Formulas

MIME_TYPES = [  # best first; neither scripts nor widgets
    *("text/html", "text/markdown", "text/latex", "image/png", "image/svg+xml", "image/jpeg"),
    *("application/json", "text/plain"),
]
# "9.4절", "6~8절" or "01번 노트북 9절" in text; or what has no references in it, to be passed over.
REFERENCE = re.compile(
    r"<(a|code|pre|h\d|svg)\b.*?</\1>|<[^>]*>"
    r"|(?:(?P<notebook>\d\d)번\s노트북의?\s)?(?<![\d.])(?P<section>\d+(?:\.\d+)?)(?:~\d+)?절",
    re.DOTALL,
)
# A formula with the brackets before it and up to five letters after it (Korean particles).
NEIGHBOURS = re.compile(r'([(\[“‘]*)(<svg class="math".*?</svg>)([^\s<&]{0,5})', re.DOTALL)


def heading_id(text: str) -> str:
    """Return the id that JupyterLab gives to a heading."""
    return re.sub(r"<[^>]+>", "", text).strip().replace(" ", "-")


def sections(nb: NotebookNode, file: str = "") -> dict[tuple[str, str], str]:
    """Return the addresses of a notebook's numbered sections.

    By the notebook's number ("01", or "" for sections of the same page) and their own ("9.4"). A
    heading with a formula or a style is left out: its id is not that of its source.
    """
    text = "\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")
    found = re.findall(r"^#+ ((\d+(?:\.\d+)?)\.? [^$`*_<&\[\n]*)$", text, re.MULTILINE)
    return {(file[:2], number): f"{file}#{heading_id(title)}" for title, number in found}


class Renderer(IPythonRenderer):
    """The Markdown of one page as HTML, with drawn formulas and scrolling tables.

    ``toc`` holds the headings for the contents: level, id and HTML; ``addresses`` are as
    :func:`sections` returns them.
    """

    def __init__(self, addresses: Mapping[tuple[str, str], str]) -> None:
        super().__init__(escape=False, exclude_anchor_links=True)
        self.addresses = addresses
        self.toc: list[tuple[int, str, str]] = []
        self.formulas = Formulas()

    def inline_math(self, body: str) -> str:
        """Draw ``$...$``."""
        return self.formulas.draw(body)

    def block_math(self, body: str) -> str:
        """Draw ``$$...$$``."""
        return self.formulas.draw(body, display=True)

    def latex_environment(self, name: str, body: str) -> str:
        r"""Draw ``\begin{...}...\end{...}`` outside of dollars."""
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        """Give a heading the id that JupyterLab gives it, and list it in the contents."""
        anchor = heading_id(text)
        anchor += "-" * sum(anchor == known.rstrip("-") for _, known, _ in self.toc)
        self.toc.append((level, anchor, text))
        return f'<h{level} id="{escape(anchor)}">{text}</h{level}>\n'

    def text(self, text: str) -> str:
        """Keep a percentage and its particle ("21%가") on one line."""
        return re.sub(r"%(?=[\uac00-\ud7a3])", "%\u2060", super().text(text))

    def link_reference(self, found: re.Match[str]) -> str:
        """Turn a reference to a section that exists into a link."""
        address = self.addresses.get((found["notebook"] or "", found["section"]))
        return f'<a href="{escape(address)}">{found[0]}</a>' if address else found[0]

    def table(self, text: str) -> str:
        """Put a table into a box that scrolls."""
        return f'<div class="scroll"><table>{text}</table></div>\n'


class PageExporter(HTMLExporter):
    """nbconvert's HTML through the package's template."""

    def __init__(self) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            template_name="report",
            template_file="page.html.j2",
            extra_template_basedirs=[str(Path(__file__).parent / "templates")],
        )

    @property
    def default_config(self) -> Config:
        """Show a figure before its text, and show JSON; no script, no widget."""
        config = Config(super().default_config)
        config.NbConvertBase.display_data_priority = MIME_TYPES
        return config

    @jinja2.pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        """Render Markdown; a formula stays on one line with what touches it."""
        page = context["resources"]["page"]
        page.attachments = context["cell"].get("attachments", {})  # pictures pasted into its text
        try:
            html = MarkdownWithMath(page).render(source)
        except (ReportError, InvalidNotebook) as error:
            raise ReportError(f"cell {context['cell'].id}: {error}") from error
        html = REFERENCE.sub(page.link_reference, html)
        return NEIGHBOURS.sub(r'<span class="together">\1\2\3</span>', html)


def content_security_policy(*scripts: str) -> str:
    """Return the policy of a page that runs these scripts (their text) alone and loads nothing.

    Markdown and outputs can hold any HTML, and whoever reads the page may not have written them.
    """
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts]
    ours = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {ours}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def to_html(
    nb: NotebookNode, others: Mapping[str, str], notebooks: Mapping[str, NotebookNode]
) -> str:
    """Convert a notebook as it is to one self-contained page.

    ``others`` are the pages that it links to, ``{file name: title}``; ``notebooks`` those whose
    sections its text may name ("01번 노트북 9절"), ``{file name: notebook}``. Raises ReportError,
    which names the cell, if a formula cannot be drawn or a pasted picture is missing.
    """
    # Of widgets Colab stores what nbconvert cannot read, and the page shows none.
    metadata = {name: value for name, value in nb.metadata.items() if name != "widgets"}
    nb = NotebookNode(nb, metadata=NotebookNode(metadata))
    addresses = sections(nb)
    for file, other in notebooks.items():
        addresses |= sections(other, file)
    page = Renderer(addresses)
    resources = {"page": page, "others": others, "policy": content_security_policy}
    html, _ = PageExporter().from_notebook_node(nb, resources=resources)
    return re.sub(r"<th([^>]*)></th>", r"<td\1></td>", str(html))  # an empty header says nothing
