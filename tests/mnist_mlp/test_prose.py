"""The report's text: every part renders, every guard can fail, and no odd run makes nonsense."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from jinja2 import UndefinedError
from jinja2.runtime import Macro
from made_up import LABELS, dataset, result, stored_run, study_runs

from mnist_mlp import experiments, facts, findings, over_seeds, prose, study, verdicts
from mnist_mlp.checks import Agreement, GradientError
from mnist_mlp.evaluation import Interval, Result, top_k_per_class
from mnist_mlp.prose import REWRITE, TEMPLATES, text
from mnist_mlp.recipe import Recipe
from mnist_mlp.study import CHOSEN, StoredRun, Task

Facts = dict[str, Any]
SAME, APART = Agreement([1e-16] * 2, [1e-16] * 2), Agreement([1e-8, 1e-3], [1e-7, 1e-2])
LAYERS = {name: np.array([0.1, 1.0]) for name in ("start", "after", "predicted")}
DEPTHS = dict.fromkeys(("ReLU", "tanh", "sigmoid", "sigmoid, gain 4", "ReLU, gain 1/4"), LAYERS)


TRAINED = {"ReLU": CHOSEN, "LReLU": replace(CHOSEN, alpha=0.1)}
FIRST = {
    "likeness": 0.7,
    "control": 0.0,
    "width": 512,
    "dead": {"ReLU": 8, "LReLU(0.1)": 0},
}


def again(runs: Sequence[StoredRun]) -> dict[str, Facts]:
    """Return what the sections about the runs of a notebook say about the same with other seeds."""
    groups = over_seeds.repeats(runs, "numpy", "mnist", TRAINED)
    others = over_seeds.repeats(runs, "torch", "mnist", TRAINED)
    never = over_seeds.never_read(groups, others) if groups else {}
    return {
        "a_confusion": never | over_seeds.classes(groups, others),
        "b_top3": over_seeds.best_images(groups, others),
        "c_curves": over_seeds.curves(groups),
    }


def live(relu: Result, lrelu: Result, runs: Sequence[StoredRun] | None = None) -> dict[str, Facts]:
    """Return the facts of every section about the runs of a notebook."""
    recipe = lrelu.run.recipe
    over_seeds = again(study_runs() if runs is None else runs)
    steps = {"ReLU, float64": SAME, "ReLU, float32": APART}
    errors = {"ReLU": [GradientError("W1", 38, 2, 1e-9)], "tanh": [GradientError("W1", 40, 0, 0.1)]}
    return {
        "training": facts.training(relu, lrelu) | {"recipe": recipe},
        "data": facts.conditions(dataset("fashion"), recipe),
        "model": {},
        "a_confusion": facts.a_confusion(relu, lrelu) | over_seeds["a_confusion"],
        "first_layer": FIRST,
        "b_top3": facts.b_top3(relu, lrelu) | over_seeds["b_top3"],
        "c_curves": facts.c_curves(relu, lrelu) | over_seeds["c_curves"] | {"label": "LReLU(0.3)"},
        "agreement": facts.agreement(steps, recipe),
        "gradient_check": facts.gradient_check(errors),
        "gradient_flow": {
            "deep": DEPTHS,
            "shallow": DEPTHS,
            "seeds": 3,
            "images": 12_000,
            "probe": 1000,
            "faster": True,
        },
    }


def stored(runs: Sequence[StoredRun], implementation: str) -> dict[str, Facts]:
    """Return the facts of every section about the stored study, in one of the notebooks."""
    label = {"numpy": "LReLU(0.1)", "torch": "LReLU(0.3)"}[implementation]
    claims = verdicts.claims(runs, implementation, label)
    compared = findings.comparison(runs, implementation)
    more = compared["frameworks"] | {
        "gap": None,
        "ece": {"ReLU": 0.006},
        "overconfident": {"ReLU": 5},
        "dearest": {"ReLU": 3.0},
    }
    return {
        "answer": claims | compared | findings.asked(runs, implementation, "LReLU(0.3)"),
        "study": compared | more,
        "speed": experiments.speed(runs),
        "recipe_search": experiments.recipe_search(runs),
        "stress": experiments.stress(runs),
        "conclusion": compared | claims,
    }


def written(sections: Mapping[str, Facts], *, without: str = "-") -> dict[str, str]:
    """Return every part of these sections, by "section.part", without the other notebook's."""
    return {
        f"{section}.{part}": text(section, part, known)
        for section, known in sections.items()
        for part in parts(section)
        if not part.startswith(without)
    }


def parts(section: str) -> list[str]:
    """Return the parts of a section: what needs no argument but the facts."""
    module = TEMPLATES.get_template(f"{section}.md.j2").make_module({})
    macros = [macro for macro in vars(module).values() if isinstance(macro, Macro)]
    return [macro.name for macro in macros if not macro.arguments and not macro.caller]


def report(runs: Sequence[StoredRun]) -> dict[str, str]:
    """Return what both notebooks say about a study, by notebook and part."""
    return {
        f"{own} {name}": words
        for own, other in (("numpy", "torch"), ("torch", "numpy"))
        for name, words in written(stored(runs, own), without=other).items()
    }


# ---- every part


def test_every_part_of_every_template_renders_as_tidy_markdown() -> None:
    about_runs = live(result({0: 6}), result({1: 2}, alpha=0.1))
    said = written(about_runs) | report(study_runs())
    for name, words in said.items():
        assert words or name.endswith(".why"), name
        assert not re.search(r"\n\n\n|\{\{|\{%|[Nn]one|nan\b|inf\b", words), name
    used = about_runs.keys() | stored(study_runs(), "numpy").keys()
    assert {f"{section}.md.j2" for section in used} == set(TEMPLATES.list_templates())


def test_a_name_that_facts_lack_or_that_hides_a_part_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="learned"):
        text("a_confusion", "reading", {})
    with pytest.raises(ValueError, match="matrices"):
        text("a_confusion", "matrices", {"matrices": 1})
    with pytest.raises(AttributeError):
        text("a_confusion", "no such part", {})


# ---- the stored study


def test_the_report_says_nothing_that_the_committed_study_does_not_support() -> None:
    said = report(study.read())
    assert [name for name, words in said.items() if REWRITE in words] == []


def guards(runs: Sequence[StoredRun], monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Return of every guarded sentence, by its place in the report, whether it is withdrawn."""
    withdrawn: dict[str, bool] = {}

    def spy(claim: bool, caller: Any) -> str:
        withdrawn[f"sentence {len(withdrawn)}"] = not claim
        return prose.supported(claim, caller)

    monkeypatch.setitem(TEMPLATES.globals, "supported", spy)
    for name, words in report(runs).items():
        rows = words.splitlines() if name.endswith("_claims") else []
        for row in (row for row in rows[2:] if "**판정 불가**" not in row):
            withdrawn[f"{name}: {row.split(' | ')[0]}"] = REWRITE in row
    return withdrawn


def alike(task: Task) -> dict[str, Any]:
    """Let every recipe give the same in every seed but for a wobble that favours nobody."""
    wobble = 1e-5 * task.seed
    return {
        "test_accuracy": 0.98 + wobble,
        "validation_accuracy": 0.98 + wobble,
        "first_validation_accuracy": 0.96 + wobble,
        "dead_units": [[0.5] * len(task.recipe.hidden)] * (task.recipe.epochs + 1),
    }


def opposed(task: Task) -> dict[str, Any]:
    """Let whatever is not plain ReLU be far better than it, and worse where it is better today."""
    recipe = task.recipe
    other = recipe != replace(CHOSEN, lr=recipe.lr)
    better = 0.01 * other + 1e-5 * task.seed
    best = [(k, -1.0 - recipe.alpha) for k in range(3)]
    wrong = range(10, 30 + 100 * other)
    history = stored_run(task).history
    assert history
    if other:
        history = replace(history, validation_loss=[1.0] * len(history.validation_loss))
    return {
        "history": history,
        "test_accuracy": 0.98 + better + 0.001 * (task.implementation == "torch"),
        "validation_accuracy": 0.98 + better,
        "first_validation_accuracy": 0.4 + better,
        "test_loss": 0.05 + better,
        "train_loss": 0.01 - better,
        "errors": {i: (i % 10, 0) for i in wrong},
        "top3": dict.fromkeys(range(10), best),
    }


def test_every_guard_withdraws_its_sentence_when_the_study_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alike_, opposed_ = (guards(study_runs(m), monkeypatch) for m in (alike, opposed))
    assert len(alike_) > 40
    assert [name for name in alike_ if not (alike_[name] or opposed_[name])] == []


def test_live_and_stored_runs_may_differ_by_a_quarter_point() -> None:
    said = [text("study", "live", {"gap": gap}) for gap in (1e-13, 0.0025, 0.0026, None)]
    expected = [
        "정확히 같다",
        "최대 0.25%p 다르다",
        "주의: 저장된 실험과 다르다",
        "비교할 값이 없다",
    ]
    assert [part in words for part, words in zip(expected, said, strict=True)] == [True] * 4


# ---- the runs of a notebook


def cut(run: Result, epochs: int) -> Result:
    """Return a result whose training ended after so many epochs."""
    for curve in vars(run.run.history).values():
        del curve[epochs + 1 :]
    return run


def without_fours(run: Result) -> Result:
    """Return a result on test images among which there is no 4."""
    confusion = run.confusion.copy()
    confusion[4] = 0
    return replace(run, confusion=confusion)


def unsure(run: Result) -> Result:
    """Return a result none of whose probabilities is near 1."""
    logits = run.run.logits / np.float32(40)
    top3 = top_k_per_class(logits, LABELS)
    return replace(run, run=replace(run.run, logits=logits), top3=top3)


MANY = {i: (i + 1) % 10 for i in range(12)}
ODD: dict[str, tuple[Result, Result]] = {
    "no error": (result({}), result({}, alpha=0.1)),
    "a tie": (result({0: 6}), result({1: 3}, alpha=0.1)),
    "a clear winner": (result({}), result(MANY, alpha=0.1)),
    "no training": (cut(result({}), 0), cut(result({}, alpha=0.1), 0)),
    "one epoch": (cut(result({}), 1), cut(result({}, alpha=0.1), 1)),
    "a class without images": (without_fours(result({})), without_fours(result({0: 1}, alpha=0.1))),
    "nothing learned": (
        result({i: (i + 1) % 10 for i in range(120)}),
        result({i: (i + 1) % 10 for i in range(110)}, alpha=0.1),
    ),
    "nothing saturated": (unsure(result({})), unsure(result({}, alpha=0.1))),
}
SENTENCES = [
    ("no error", "a_confusion", "ReLU는 한 장도 틀리지 않았다. LReLU는 한 장도 틀리지 않았다."),
    ("no error", "a_confusion", "우열을 가릴 이미지가 없다"),
    ("a tie", "a_confusion", "p값은 1.000이다"),
    ("a tie", "a_confusion", "두 망이 맞힌 장수가 같다"),
    ("a tie", "a_confusion", "ReLU가 가장 많이 틀린 클래스는 0으로, 1장이다. LReLU가"),
    (
        "a clear winner",
        "a_confusion",
        "ReLU가 12장 더 맞혔다(정확도 ReLU 100.00%, LReLU 94.00%)",
    ),
    ("a clear winner", "a_confusion", "p값은 0.001 미만이다. 유의수준"),
    ("a clear winner", "a_confusion", "오류율이 다르다고 볼 근거가 있다"),
    ("nothing learned", "a_confusion", "정확도가 50%를 넘지 않는 망이 있어(ReLU 40.00%"),
    ("nothing learned", "b_top3", "비교하지 않는다"),
    ("nothing learned", "c_curves", "정확도가 50%를 넘지 않는 망이 있어"),
    ("no training", "c_curves", "읽을 곡선이 없다"),
    ("one epoch", "c_curves", "높지 않은 망이 있다(ReLU −1.00%p"),
    ("one epoch", "c_curves", "두 망 모두 마지막 에폭의 검증 손실이 가장 낮다"),
    ("no error", "c_curves", "ReLU와 LReLU의 검증 손실은 최솟값을 지나 5% 넘게 다시 커졌으므로"),
    ("no error", "b_top3", "30장 가운데 30장을 함께 골랐다. float32 확률이 정확히 1.0"),
    ("no error", "b_top3", "고른 이미지는 모두 실제로 그 클래스이다"),
]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", ODD)
@pytest.mark.parametrize("stored", [True, False])
def test_odd_runs_make_tidy_text_and_no_warning(case: str, stored: bool) -> None:
    sections = live(*ODD[case], study_runs() if stored else [])
    without = "-" if stored else "never"
    for words in written(sections, without=without).values():
        assert not re.search(r"\n\n\n|nan\b|inf\b|  |클래스는 [,로으]|각각 0장", words), words


@pytest.mark.parametrize(("case", "section", "sentence"), SENTENCES)
def test_the_text_says_what_the_runs_say(case: str, section: str, sentence: str) -> None:
    assert sentence in text(section, "reading", live(*ODD[case])[section])


def test_what_other_seeds_show_is_said_only_where_they_are_stored() -> None:
    known, unknown = (live(result({0: 6}), result({}, 0.1), runs) for runs in (study_runs(), []))
    for section in ("a_confusion", "b_top3", "c_curves"):
        assert "시드 반복 실험" in text(section, "lead", unknown[section])
        assert text(section, "lead", known[section]).startswith("**답: ")
        assert text(section, "over_seeds", known[section])
        assert not text(section, "over_seeds", unknown[section])
    assert "마름모" in text("a_confusion", "difference", known["a_confusion"])
    assert "마름모" not in text("a_confusion", "difference", unknown["a_confusion"])
    assert "저장된 시드 30개" in text("c_curves", "curves", known["c_curves"])
    assert "저장된" not in text("c_curves", "curves", unknown["c_curves"])


def test_the_readers_own_slope_is_answered_from_its_own_rows_or_said_to_be_absent() -> None:
    runs = study_runs(lambda task: {"test_accuracy": 0.98 + 0.01 * task.recipe.alpha})
    found = {
        alpha: text("answer", "asked", findings.asked(runs, "numpy", f"LReLU({alpha})"))
        for alpha in ("0.01", "0.3", "0.05")
    }
    assert "이 실행의 LReLU(0.3)는" in found["0.3"]
    assert "시드 10개 평균 +0.300%p" in found["0.3"]
    assert "+0.010%p" in found["0.01"]
    assert "LReLU(0.05)는 시드 반복 실험에 없으므로" in found["0.05"]


def test_an_image_of_another_class_is_named() -> None:
    strange = result({0: 6})
    strange.run.logits[0, 6] = 90  # the surest "6" of all is a 0
    strange = replace(strange, top3=top_k_per_class(strange.run.logits, LABELS))
    reading = text("b_top3", "reading", facts.b_top3(result({}), strange))
    assert "LReLU의 클래스 6에는 정답이 0인 이미지(#0)가 들어 있다" in reading


def test_every_probability_is_printed_with_every_digit() -> None:
    relu = result({})
    table = text("b_top3", "relu_table", facts.b_top3(relu, relu))
    for best in relu.top3:
        assert all(repr(image.probability) in table for image in best)
        assert all(f"#{image.index} |" in table for image in best)


def test_conditions_are_those_of_the_run() -> None:
    recipe = Recipe(alpha=0.3, epochs=2, batch_size=1000)
    known = facts.conditions(dataset("fashion"), recipe)
    said = text("data", "conditions", known) + text("training", "settings", {"recipe": recipe})
    for condition in ("fashion", r"\alpha = 0.3", "1000장", "2 에폭"):
        assert condition in said


@pytest.mark.parametrize("section", live(result({}), result({}, alpha=0.1)))
def test_what_a_parameter_or_the_data_decide_is_typed_in_no_section_about_a_run(
    section: str,
) -> None:
    source = TEMPLATES.loader.get_source(TEMPLATES, f"{section}.md.j2")[0]  # type: ignore[union-attr]
    typed = re.sub(r"{{.*?}}|{%.*?%}|LReLU\([\d.]+\)", "", source, flags=re.DOTALL)
    assert not re.search(r"48,?000|12,?000|10,?000|20 에폭|100장|MNIST|(?<!\d)0\.[13]\b", typed)


def test_an_implementation_that_computes_something_else_is_said_to() -> None:
    steps = {"ReLU, float64": APART, "ReLU, float32": SAME}
    reading = text("agreement", "reading", facts.agreement(steps, Recipe()))
    assert "**기준을 넘었다.**" in reading
    assert "끝까지 $10^{-5}$을 넘지 않으며" in reading
    assert "아직 갈라지지 않았다" in reading


# ---- numbers as text


def test_particles_follow_the_korean_reading_of_the_last_digit() -> None:
    for written in ("0은", "1은", "2는", "3은", "4는", "5는", "6은", "7은", "8은", "9는"):
        assert prose.particle(int(written[0]), "은/는") == written
    for written in ("0.0530으로", "1로", "0.062로", "3으로", "6으로", "7로", "0.048로"):
        assert prose.particle(re.sub("으?로", "", written), "으로/로") == written


def test_numbers_are_written_as_a_reader_expects_them() -> None:
    assert prose.listed([1, 2, 7], "으로/로") == "1, 2, 7로"
    assert prose.power(2.94e-8) == r"$2.9 \times 10^{-8}$"
    assert [prose.power(v) for v in (0.25, 1.0, 44.4, 0.0)] == ["0.25", "1", "44", "0"]
    assert [prose.points(d) for d in (-0.0011, 0.02)] == ["−0.11%p", "+2.00%p"]
    assert [prose.p_value(p) for p in (0.0009999, 0.001, 0.125)] == ["0.001 미만", "0.001", "0.125"]
    assert prose.middle([3.0, 2.0, math.inf]) == "3 [2, 20 초과]"
    assert prose.extremes(np.array([5.0, 4.0])) == "4~5"
    assert prose.spread(np.array([0.98, 0.99])).split() == ["98.50", "±", "0.71%"]
    gap = Interval(-0.0001, 0.001, 10, -0.0004, 0.0002)
    assert prose.interval(gap) == "−0.010%p (95% 신뢰구간 −0.040 ~ +0.020%p)"
    assert prose.ends((-0.0001, 0.0002)) == "−0.010 ~ +0.020%p"
