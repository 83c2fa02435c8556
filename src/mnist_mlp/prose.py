"""The report's Korean text: templates in ``prose/``, one a section, filled with ``facts``.

A template reads like the report; a part of it is a Jinja macro: ``text("a_confusion", "reading",
facts.a_confusion(relu, lrelu))``. What a template names and the facts lack is an error.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mnist_mlp.evaluation import Interval
from mnist_mlp.recipe import Recipe

REWRITE = "**알림: 저장된 시드 반복 실험이 달라져 이 자리의 문장과 맞지 않는다. 다시 써야 한다.**"
FINAL_CONSONANT = set("013678")  # their Korean reading ends in one: 영 일 삼 육 칠 팔
RIEUL = set("178")  # and of those the ones that end in ㄹ, after which "로" stays


def particle(number: float | str, pair: str) -> str:
    """Return a number with the particle that its reading takes: ``0.53 | particle("은/는")``."""
    after_consonant, after_vowel = pair.split("/")
    last = str(number)[-1]
    consonant = last in FINAL_CONSONANT and not (pair == "으로/로" and last in RIEUL)
    return f"{number}{after_consonant if consonant else after_vowel}"


def listed(numbers: list[int], pair: str) -> str:
    """Join numbers, the last with its particle: ``[1, 2, 7]`` becomes "1, 2, 7로"."""
    return "".join(f"{number}, " for number in numbers[:-1]) + particle(numbers[-1], pair)


def power(value: float) -> str:
    r"""Write a number with two digits, a small one as a formula: ``$2.9 \times 10^{-8}$``."""
    if value == 0 or value >= 0.01 or not math.isfinite(value):
        return f"{value:.2g}"
    mantissa, exponent = f"{value:.1e}".replace(".0e", "e").split("e")
    return f"${mantissa} \\times 10^{{{int(exponent)}}}$"


def percent(fraction: float, digits: int = 2) -> str:
    """Write a fraction in percent: 0.9859 becomes "98.59%"."""
    return f"{fraction:.{digits}%}"


def signed(difference: float, digits: int) -> str:
    """Write a difference with its sign."""
    return f"{difference:+.{digits}f}".replace("-", "−")


def points(difference: float, digits: int = 2) -> str:
    """Write a difference of fractions in percentage points, with its sign."""
    return f"{signed(100 * difference, digits)}%p"


def interval(value: Interval) -> str:
    """Write a mean difference of fractions with its 95 % interval, in percentage points."""
    return f"{points(value.mean, 3)} (95% 신뢰구간 {ends(value.ends)})"


def korean(label: str) -> str:
    """Write what figures call a run in the text's words: "sigmoid, lr 0.2"."""
    for ours, theirs in (("sigmoid", "시그모이드"), ("lr ", "학습률 "), ("gain ", "초기 가중치 ×")):
        label = label.replace(ours, theirs)
    return label


def ends(low_and_high: tuple[float, float], digits: int = 3) -> str:
    """Write the ends of an interval of fractions in percentage points: "−0.054 ~ +0.020%p"."""
    low, high = low_and_high
    return f"{signed(100 * low, digits)} ~ {points(high, digits)}"


def span(low_and_high: tuple[float, float]) -> str:
    """Write the ends of an interval of losses: "−0.0016 ~ −0.0002"."""
    return " ~ ".join(signed(end, 4) for end in low_and_high)


def p_value(p: float) -> str:
    """Write a p-value with three digits; one that would be 0.000 as a bound."""
    return f"{p:.3f}" if p >= 0.001 else "0.001 미만"


def spread(values: Any, digits: int = 2) -> str:
    """Write fractions as mean ± standard deviation in percent, on one line."""
    mean, sd = 100 * values.mean(), 100 * values.std(ddof=1)
    return f"{mean:.{digits}f}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{sd:.{digits}f}%"


def middle(epochs: Any) -> str:
    """Write epochs as median [earliest, latest]; infinity stands for later than all."""
    quantiles = (np.median(epochs), np.min(epochs), np.max(epochs))
    never = f"{Recipe.epochs} 초과"
    mid, low, high = (f"{v:g}" if math.isfinite(v) else never for v in quantiles)
    return f"{mid} [{low}, {high}]"


def extremes(epochs: Any) -> str:
    """Write the earliest and the latest of several epochs: "4~5"."""
    return f"{np.min(epochs):g}~{np.max(epochs):g}"


def supported(claim: bool, caller: Callable[[], str]) -> str:
    """Let a sentence about the stored study stand only while the study supports it.

    ``{% call supported(difference.excludes_zero) %} ... {% endcall %}``: else a notice says that
    the sentence has to be written anew. A test asserts that no report shows this notice.
    """
    return caller() if claim else REWRITE


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "prose"),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701  Markdown, not HTML
    trim_blocks=True,
    lstrip_blocks=True,
)
NUMBERS = (particle, listed, power, percent, signed, points, interval, ends, span, p_value, korean)
TEMPLATES.filters |= {f.__name__: f for f in (*NUMBERS, spread, middle, extremes)}
TEMPLATES.filters["count"] = "{:,}".format
TEMPLATES.globals |= {"supported": supported, "rewrite": REWRITE}


def text(section: str, part: str, facts: Mapping[str, Any]) -> str:
    """Return one part of a section's text as Markdown.

    Raises
    ------
    AttributeError
        If the section has no such part.
    jinja2.UndefinedError
        If the facts lack something that the text names.
    ValueError
        If a fact has the name of a part, which hides it.
    """
    module = TEMPLATES.get_template(f"{section}.md.j2").make_module(dict(facts))
    if hidden := vars(module).keys() & facts.keys():
        raise ValueError(f"{section}: {hidden} name both parts of the text and facts")
    return re.sub(r"\n{3,}", "\n\n", getattr(module, part)().strip())
