"""The rubric: what a submitted notebook and its re-run must show, item by item.

Nothing here executes a notebook. A check is a generator of Korean sentences, one a problem;
``rubric`` is the table of all checks. Those that look at the notebook alone are here, those that
compute again in ``recount.py``, those that compare in ``compare.py``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mnist_tools import recount, shown
from mnist_tools.compare import NAMES, Problems, agreement_problems, compared_exactly, text_problems
from mnist_tools.files import NOTEBOOKS
from mnist_tools.shown import HEADINGS, Side

IMPLEMENTATIONS = {"scratch": "numpy", "framework": "torch"}
THRESHOLDS = {  # test accuracy on MNIST
    "scratch": {"ReLU": 0.984, "LReLU": 0.984},
    "framework": {"ReLU": 0.984, "LReLU": 0.983},
}


@dataclass(frozen=True)
class Item:
    """A line of the rubric, worth one point if there are no problems."""

    notebook: str
    key: str
    title: str
    problems: list[str]


def order_problems(side: Side) -> Problems:
    """Whether the cells were executed once each, from the first to the last."""
    for number, cell in enumerate(shown.code_cells(side.nb), start=1):
        if cell.execution_count != number:
            where = shown.place(side.nb, cell)
            yield f"{where}의 실행 번호가 {number}이 아니라 {cell.execution_count}"
            return


def output_problems(side: Side) -> Problems:
    """Errors, stderr, what a browser would run, tags that hide errors or skip cells."""
    for cell in side.nb.cells:
        found = [f"{tag} 태그" for tag in shown.tags(cell) if tag in shown.HIDING]
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                found.append(f"오류 {output.ename}")
            elif output.get("name") == "stderr":
                found.append(f"stderr 출력 {output.text.strip()[:80]!r}")
            data = output.get("data", {})
            found += [f"{kind} 출력" for kind in data if re.search("javascript|widget", kind)]
        found += [f"브라우저에서 실행되는 HTML {html!r}" for html in shown.active_html(cell)]
        yield from (f"{shown.place(side.nb, cell)}에 {what}" for what in found)


def result_problems(side: Side, kind: str) -> Problems:
    """Whether the results are those of this notebook's kind, with two different slopes."""
    results = side.results
    if not results:
        yield "results 태그가 있는 셀에 application/json 출력이 정확히 하나 있어야 함"
        return
    if results["framework"] != IMPLEMENTATIONS[kind]:
        yield f"framework가 {results['framework']!r}"
    if set(results["runs"]) != set(NAMES):
        yield f"runs에 ReLU와 LReLU가 아니라 {', '.join(results['runs']) or '아무것도 없음'}"
    if not recount.SMALLEST_SLOPE <= results["recipe"]["alpha"] < 1:
        yield f"LReLU의 기울기가 {results['recipe']['alpha']}"


def section_problems(side: Side, letter: str, name: str) -> Problems:
    """Whether the section is there, with a figure that shows the activation."""
    cells = shown.section(side.nb, letter)
    pictures = shown.figures(cells)
    if not cells:
        yield f"제목 '{HEADINGS[letter]}'이 없음"
    elif not pictures:
        yield "그림이 없음"
    elif any(shown.blank(picture) for picture, _ in pictures):
        yield "그림이 비었거나 너무 작음"
    elif not all(shown.hangul(text) for _, text in pictures):
        yield "그림에 한국어 대체 텍스트가 없음"
    elif not any(re.search(NAMES[name], text) for _, text in pictures):
        yield f"그림의 대체 텍스트에 {name}가 없음"


def commentary_problems(side: Side, letter: str) -> Problems:
    """Whether Korean text with numbers about both activations follows the section's figure."""
    cells = shown.section(side.nb, letter)
    drawing = [number for number, cell in enumerate(cells) if shown.figures([cell])]
    text = shown.markdown(cells[drawing[0] :]) if drawing else ""
    for _, caption in shown.figures(cells):  # which may stand below its figure too
        text = text.replace(caption, "")
    if shown.hangul(text) < 50:
        yield "그림 뒤에 한국어 해설이 없음"
    elif not all(re.search(said, text) for said in (*NAMES.values(), r"\d")):
        yield "해설이 두 활성화 함수의 수치를 말하지 않음"


CHECKS = {
    "a": recount.confusion_problems,
    "b": recount.top3_problems,
    "c": recount.curve_problems,
}


def rubric(
    kind: str, submitted: Side, again: Side, retrain: float
) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield each item's key, title and checks; a check is a function and its arguments."""
    each = (submitted, again)
    exactly = compared_exactly(*(side.results.get("runs", {}) for side in each))
    how = "모든 자리를 비교" if exactly else "허용 오차로 비교"
    yield "run", "깨끗한 커널에서 모든 셀이 오류 없이 실행된다", []
    yield "order", "제출본은 위에서 아래로 한 번 실행한 것이다", [(order_problems, submitted)]
    yield "clean", "오류, stderr, 신뢰할 수 없는 출력이 없다", [(output_problems, s) for s in each]
    yield "results", "두 활성화 함수의 결과를 발표한다", [(result_problems, s, kind) for s in each]
    for letter, check in CHECKS.items():
        for name in NAMES:
            checks: list[Any] = [(check, s, name) for s in each]
            checks.append((section_problems, submitted, letter, name))
            yield f"{letter}-{name}", f"{HEADINGS[letter]}: {name}", checks
        text = (commentary_problems, submitted, letter)
        yield f"{letter}-text", f"({letter})의 한국어 해설", [text]
    model = (recount.model_problems, again, kind)
    yield "model", "데이터 분할과 3층 신경망이 발표한 그대로이다", [model]
    for name, threshold in THRESHOLDS[kind].items():
        title = f"{name}의 MNIST 테스트 정확도가 {threshold:.1%} 이상이다"
        check_threshold = (recount.threshold_problems, again, name, threshold)
        yield f"accuracy-{name}", title, [check_threshold]
    yield "agree", f"제출한 결과가 재실행과 같다 ({how})", [(agreement_problems, *each)]
    yield "text", f"제출한 글과 그림이 결과와 같다 ({how})", [(text_problems, *each)]
    if retrain:
        title = "채점기가 발표한 레시피와 시드로 학습해도 같은 결과가 나온다"
        yield "retrain", title, [(recount.retrain_problems, again, kind, retrain)]


def problems_of(check: Any, *arguments: Any) -> Problems:
    """Run one check; an error that a submission provokes in it is a problem like any other."""
    sides = [argument for argument in arguments if isinstance(argument, Side)]
    prefix = f"{sides[0].label}: " if len(sides) == 1 else ""
    if any(side.error for side in sides):
        yield f"{prefix}읽거나 실행하지 못하여 확인할 수 없음"
        return
    try:
        for problem in check(*arguments):
            yield prefix + problem
    except Exception as error:
        yield f"{prefix}결과의 형식이 약속과 다름({type(error).__name__}: {error})"


def judge(kind: str, submitted: Side, again: Side, retrain: float = 0) -> list[Item]:
    """Score one notebook: what was submitted against what its re-run gave.

    ``retrain``: the seconds that training again may take; 0 leaves that item out.
    """
    items = []
    for key, title, checks in rubric(kind, submitted, again, retrain):
        problems = [again.error] if key == "run" and again.error else []
        problems += [problem for check in checks for problem in problems_of(*check)]
        problems = [shown.printable(problem) for problem in dict.fromkeys(problems)]
        items.append(Item(NOTEBOOKS[kind], key, title, problems))
    return items
