"""LaTeX formulas as drawings (SVG): a page then needs neither a network nor a script for them."""

import re
import xml.etree.ElementTree as ET
from html import escape

from ziamath.tex import tex2mml
from ziamath.zmath import Latex, Math

from mnist_tools.files import ReportError

EM = 16.0  # px in the drawings; the page scales them to its text
# The math font has no Korean: a full-width square of its own is drawn for each syllable, then
# replaced by text in the reader's font.
HANGUL, SQUARE = re.compile(r"[\uac00-\ud7a3]"), "⬛"


def glyph_id(node: ET.Element) -> str:
    """Return the id of the glyph that a ``symbol`` defines or a ``use`` draws; "" for lines."""
    return node.get("id", node.get("href", "")).rpartition("_")[2]


SQUARE_ID = glyph_id(Latex(SQUARE).svgxml()[0])
UNKNOWN_ID = "0"  # the glyph that a font draws for a character that it does not have


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


def write_syllable(square: ET.Element, syllable: str) -> None:
    """Turn the drawing of a square into a Korean syllable in the reader's font."""
    y, height = float(square.attrib["y"]), float(square.attrib["height"])
    baseline = f"{y + 0.6155 * height:.2f}"  # the font's ascent, of its height
    square.tag, square.text = "text", syllable
    square.attrib = {
        "x": square.attrib["x"],
        "y": baseline,
        "font-size": f"{height / 4.3:.1f}",
    }


class Formulas:
    """The formulas of one page; ``glyphs`` holds each letter's drawing once, by its id."""

    def __init__(self) -> None:
        self.glyphs: dict[str, str] = {}

    def draw(self, latex: str, *, display: bool = False) -> str:
        """Return an SVG in the size and colour of the text; screen readers get the LaTeX.

        Raises ReportError if anything in the formula cannot be drawn.
        """
        # ziamath would draw the bold or double-struck digit of an indicator function plain
        source = latex.replace(r"\mathbf{1}", "𝟏").replace(r"\mathbb{1}", "𝟙").strip()
        try:
            mathml = ET.fromstring(tex2mml(source, inline=not display))  # noqa: S314 (own text)
            text = "".join(mathml.itertext())
            tidy(mathml)
            svg = Math(mathml, size=EM).svgxml()
        except Exception as error:  # the parsers raise many types, IndexError among them
            raise ReportError(f"formula cannot be drawn: {latex}") from error
        unknown = any(glyph_id(node) == UNKNOWN_ID for node in svg)
        if unknown or not len(svg) or "\\" in text:  # a command left over is an unknown command
            raise ReportError(f"formula has something that cannot be drawn: {latex}")
        self._share_glyphs(svg, HANGUL.findall(text))
        _, top, width, height = map(float, svg.attrib["viewBox"].split())
        style = f"width:{width / EM:.3f}em;vertical-align:{-(top + height) / EM:.3f}em"
        label = escape(" ".join(latex.split()))
        attributes = f'<svg class="math" role="img" aria-label="{label}" style="{style}" viewBox='
        drawing = ET.tostring(svg, encoding="unicode").replace(' fill="black"', "")
        drawing = re.sub(r"<svg .*?viewBox=", lambda _: attributes, drawing, count=1)
        return f'<span class="display scroll">{drawing}</span>' if display else drawing

    def _share_glyphs(self, svg: ET.Element, syllables: list[str]) -> None:
        """Keep each glyph once a page: formulas shrink from 15 KB to 1."""
        remaining = iter(syllables)
        for node in list(svg):
            glyph = glyph_id(node)
            if node.tag == "symbol":
                node.set("id", f"g{glyph}")
                self.glyphs[glyph] = ET.tostring(node, encoding="unicode")
                svg.remove(node)
            elif glyph == SQUARE_ID:
                write_syllable(node, next(remaining))
            elif glyph:
                node.set("href", f"#g{glyph}")
