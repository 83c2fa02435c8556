"""Formulas are drawn whole, or the build says which one is not."""

import pytest
from bs4 import BeautifulSoup

from mnist_tools.files import ReportError
from mnist_tools.formulas import Formulas


def drawn(latex: str) -> BeautifulSoup:
    return BeautifulSoup(Formulas().draw(latex, display=True), "html.parser")


def test_korean_is_text_in_reading_order() -> None:
    letters = drawn(r"\text{손실}_{\text{검증}} = \text{값}").select("text")
    assert "".join(text.get_text() for text in letters) == "손실검증값"


@pytest.mark.parametrize("body", [r"\sum_j x_j", r"\prod_{k=1}^{N} p_k"])
def test_brackets_around_a_tall_operator_stay_small(body: str) -> None:
    (svg,) = drawn(rf"\left( {body} \right)").select("svg")
    assert float(str(svg["viewbox"]).split()[3]) < 80  # px, at 16 px an em


@pytest.mark.parametrize("latex", [r"\frac{a}", r"\undefined{x}", r"\text{漢字}", " "])
def test_what_cannot_be_drawn_is_an_error_that_names_it(latex: str) -> None:
    with pytest.raises(ReportError, match="formula") as failure:
        Formulas().draw(latex)
    assert latex in str(failure.value)
