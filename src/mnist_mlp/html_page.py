"""HTML that needs no network, by nbconvert with our template: one page a notebook, and an index."""

import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import jinja2
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from traitlets.config import Config
from ziamath.tex import tex2mml
from ziamath.zmath import Latex, Math

from mnist_mlp.files import NOTEBOOKS, ReportError

MIME_TYPES = [  # best first; neither scripts nor widgets
    *("text/html", "text/markdown", "text/latex"),
    *("image/png", "application/json", "text/plain"),
]
NEIGHBOURS = re.compile(r'([(\[“‘]*)(<svg class="math".*?</svg>)([^\s<&]{0,5})', re.DOTALL)


EM = 16.0  # px in the drawings; the page scales them to its text
# The math font has no Korean: a full-width square of its own is drawn for each syllable, then
# replaced by text in the reader's font.
HANGUL, SQUARE = re.compile(r"[\uac00-\ud7a3]"), "⬛"


def glyph_id(node: ET.Element) -> str:
    """Return the id of the glyph that a ``symbol`` defines or a ``use`` draws; "" for lines."""
    return node.get("id", node.get("href", "")).rpartition("_")[2]


def tidy(mathml: ET.Element) -> None:
    """Prepare MathML for what ziamath draws wrong: Korean, signs, tall sums, crowded rows."""
    for parent in mathml.iter():
        parent.text = HANGUL.sub(SQUARE, parent.text or "")
        for before, node in zip([None, *parent], parent, strict=False):
            operator_before = before is not None and before.tag.endswith("}mo")
            if node.text == "−" and operator_before and before.text not in tuple(")]}|‖"):
                node.set("form", "prefix")  # a sign, as in "= -x": no space after it
            elif node.text in tuple("∑∏"):
                node.set("stretchy", "false")  # else \left( around one grows to 1000 px
            elif node.tag.endswith("}mtable"):
                node.set("rowspacing", "0.5em")
                node.attrib.setdefault("columnspacing", "0.9em")


SQUARE_ID = glyph_id(Latex(SQUARE).svgxml()[0])


@dataclass
class Page:
    """What the cells of one page share: the contents, and each glyph of the formulas once."""

    toc: list[tuple[int, str, str]] = field(default_factory=list)  # level, id, HTML
    glyphs: dict[str, str] = field(default_factory=dict)

    def formula(self, latex: str, *, display: bool = False) -> str:
        """Return an SVG in the size and colour of the text; screen readers get the LaTeX."""
        # ziamath would draw the bold or double-struck digit of an indicator function plain
        source = latex.replace(r"\mathbf{1}", "𝟏").replace(r"\mathbb{1}", "𝟙").strip()
        try:
            mathml = ET.fromstring(tex2mml(source, inline=not display))  # noqa: S314 (own text)
            text = "".join(mathml.itertext())
            tidy(mathml)
            svg = Math(mathml, size=EM).svgxml()
        except Exception as error:  # the parsers raise many types, IndexError among them
            raise ReportError(f"formula cannot be drawn: {latex}") from error
        syllables = iter(HANGUL.findall(text))
        for node in list(svg):
            glyph = glyph_id(node)
            if node.tag == "symbol":  # kept once a page: formulas shrink from 15 KB to 1
                node.set("id", f"g{glyph}")
                self.glyphs[glyph] = ET.tostring(node, encoding="unicode")
                svg.remove(node)
            elif glyph == SQUARE_ID:
                y, height = float(node.attrib["y"]), float(node.attrib["height"])
                baseline = f"{y + 0.6155 * height:.2f}"  # the font's ascent, of its height
                node.tag, node.text = "text", next(syllables)
                node.attrib = {
                    "x": node.attrib["x"],
                    "y": baseline,
                    "font-size": f"{height / 4.3:.1f}",
                }
            elif glyph:
                node.set("href", f"#g{glyph}")
        drawing = ET.tostring(svg, encoding="unicode").replace(' fill="black"', "")
        if "\\" in text or '"#g0"' in drawing or not len(svg):  # glyph 0 stands for "unknown"
            raise ReportError(f"formula has something that cannot be drawn: {latex}")
        _, top, width, height = map(float, svg.attrib["viewBox"].split())
        style = f"width:{width / EM:.3f}em;vertical-align:{-(top + height) / EM:.3f}em"
        label = escape(" ".join(latex.split()))
        attributes = f'<svg class="math" role="img" aria-label="{label}" style="{style}" viewBox='
        drawing = re.sub(r"<svg .*?viewBox=", lambda _: attributes, drawing, count=1)
        return f'<span class="display scroll">{drawing}</span>' if display else drawing


class Renderer(IPythonRenderer):
    """Markdown to HTML, with drawn formulas, headings for the contents and scrolling tables."""

    def __init__(self, page: Page) -> None:
        super().__init__(escape=False, exclude_anchor_links=True)
        self.page = page

    def inline_math(self, body: str) -> str:
        """Draw ``$...$``."""
        return self.page.formula(body)

    def block_math(self, body: str) -> str:
        """Draw ``$$...$$``."""
        return self.page.formula(body, display=True)

    def latex_environment(self, name: str, body: str) -> str:
        r"""Draw ``\begin{...}...\end{...}`` outside of dollars."""
        return self.block_math(rf"\begin{{{name}}}{body}\end{{{name}}}")

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        """Give a heading the id that JupyterLab gives it, and list it in the contents."""
        anchor = re.sub(r"<[^>]+>", "", text).strip().replace(" ", "-")
        anchor += "-" * sum(anchor == known.rstrip("-") for _, known, _ in self.page.toc)
        self.page.toc.append((level, anchor, text))
        return f'<h{level} id="{escape(anchor)}">{text}</h{level}>\n'

    def text(self, text: str) -> str:
        """Keep a percentage and its particle ("21%가") on one line."""
        return re.sub(r"%(?=[\uac00-\ud7a3])", "%\u2060", super().text(text))

    def table(self, text: str) -> str:
        """Put a table into a box that scrolls."""
        return f'<div class="scroll"><table>{text}</table></div>\n'


class ReportExporter(HTMLExporter):
    """nbconvert's HTML through the package's template: one file that needs no network."""

    def __init__(self) -> None:
        templates = str(Path(__file__).parent / "templates")
        super().__init__(  # type: ignore[no-untyped-call]
            template_name="report", extra_template_basedirs=[templates]
        )

    @property
    def default_config(self) -> Config:
        """Show a figure before its text, and show JSON; no script, no widget."""
        config = Config(super().default_config)
        config.NbConvertBase.display_data_priority = MIME_TYPES
        return config

    @jinja2.pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        """Render Markdown; a formula stays on one line with what touches it (Korean particles)."""
        renderer = Renderer(context["resources"]["page"])
        try:
            html = MarkdownWithMath(renderer).render(source)
        except ReportError as error:
            raise ReportError(f"cell {context['cell'].id}: {error}") from error
        return NEIGHBOURS.sub(r'<span class="together">\1\2\3</span>', html)


def to_html(nb: NotebookNode) -> str:
    """Convert a notebook as it is to one self-contained HTML page."""
    html, _ = ReportExporter().from_notebook_node(nb, resources={"page": Page()})
    return re.sub(r"<th([^>]*)></th>", r"<td\1></td>", str(html))  # an empty header says nothing


def compare(results: dict[str, dict[str, Any]]) -> list[str]:
    """Say in Korean how many test images NumPy and PyTorch are apart."""
    if len(results) < len(NOTEBOOKS):
        return []
    ours, theirs = results["scratch"], results["framework"]
    if ours["dataset"] != theirs["dataset"]:
        return ["두 결과의 데이터가 서로 달라 비교하지 않는다."]
    n, sentences = ours["n_test"], []
    for activation in ours["runs"]:
        numpy, torch = (
            sum(r["runs"][activation]["confusion_matrix"][i][i] for i in range(10))
            for r in (ours, theirs)
        )
        gap, winner = abs(numpy - torch), "NumPy" if numpy > torch else "PyTorch"
        verdict = f"{winner}가 {gap}장({100 * gap / n:.2f}%p) 많다" if gap else "두 수가 같다"
        sentences.append(
            f"{activation}: 테스트 이미지 {n:,}장 가운데 NumPy는 {numpy:,}장, "
            f"PyTorch는 {torch:,}장을 맞혔다. {verdict}."
        )
    slopes = [r["recipe"].get("alpha") for r in (ours, theirs)]
    if slopes[0] != slopes[1]:
        sentences.append(
            f"LReLU의 차이에는 음수 쪽 기울기 α가 다른 것({slopes[0]}, {slopes[1]})도 들어 있다."
        )
    right = ours["runs"]["ReLU"]["test_accuracy"] * n
    error = math.sqrt(right * (1 - right / n))
    sentences.append(
        f"정답 수 하나의 표준오차는 약 {error:.0f}장이지만, 두 구현은 같은 이미지로 "
        "평가했으므로 차이의 오차는 이와 다르다. "
        "시드별로 짝지은 비교는 PyTorch 보고서의 9절에 있다."
    )
    return sentences


def summary(figures: Path) -> str:
    """Return the index page from the results files in a folder: four networks, two frameworks."""
    paths = {kind: figures / f"results_{kind}.json" for kind in NOTEBOOKS}
    results = {
        kind: json.loads(path.read_text(encoding="utf-8"))
        for kind, path in paths.items()
        if path.exists()
    }
    return str(
        ReportExporter()
        .environment.get_template("summary.html.j2")
        .render(
            results=results,
            missing=[paths[kind].name for kind in NOTEBOOKS if kind not in results],
            comparison=compare(results),
            notebooks=NOTEBOOKS,
        )
    )
