"""Each verdict and number of the study's Korean sentences, worked out by hand, either way round."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import result
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from mnist_mlp import conclusions, plots
from mnist_mlp import study_commentary as findings
from mnist_mlp.evaluation import Interval, Result, ScoredImage
from mnist_mlp.study_rows import disagreements

SMALL, LARGE = "LReLU(0.1)", "LReLU(0.3)"
UP, DOWN, OPEN = (Interval(m, 0.001, 5, m - 0.002, m + 0.002) for m in (0.003, -0.003, 0.001))
NBSP = "\N{NO-BREAK SPACE}"


def around(mean: float, sd: float = 0.0001) -> pd.Series:
    """Return three seeds; their 95 % interval is mean ± 2.484 SD (t = 4.3027, over root 3)."""
    return pd.Series([mean - sd, mean, mean + sd], index=[2, 5, 7])


def runs(accuracy: Sequence[float | None], dead: str = "0|0") -> pd.DataFrame:
    """Return rows by seed; None is a run that diverged, whose other numbers must not count."""
    lost = [a is None for a in accuracy]
    return pd.DataFrame(
        {"validation_accuracy": [0.999 if a is None else a for a in accuracy],
         "diverged_after": [1.0 if a else math.nan for a in lost],
         "dead_units": ["1|1" if a else f"1|1 {dead}" for a in lost]}
    )  # fmt: skip


def duel(relu: Sequence[float | None], leaky: Sequence[float | None]) -> dict[str, pd.DataFrame]:
    return {"ReLU": runs(relu), LARGE: runs(leaky)}


CLAIMS: dict[str, Any] = {
    "framework": "torch", "first": result("ReLU", {}), "second": result("LReLU", {}),
    "difference": UP, "first_epoch_difference": UP, "relu_errors": ["", ""],
    "lrelu_errors": ["", ""], "dead": 0.0, "stress": {"even": duel([0.9, 0.9], [0.8, 1.0])},
}  # fmt: skip


def claim(keyword: str, **changed: Any) -> tuple[str, str]:
    """Return the verdict on the claim with this keyword, and the evidence."""
    table = conclusions.claims(**CLAIMS | changed)
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    ((_, word, reason),) = [row for row in rows if keyword in row[0]]
    return word.strip("*"), reason


def mistaken(relu: Sequence[int], lrelu: Sequence[int]) -> dict[str, Any]:
    """Return two networks that get these images wrong; image i shows the digit i % 10."""
    two = [result("", {i: (i + 1) % 10 for i in images}) for images in (relu, lrelu)]
    return {"first": two[0], "second": two[1]}


def learned(relu: Sequence[float], lrelu: Sequence[float], **more: Any) -> dict[str, Any]:
    """Return two networks with these validation losses and training accuracies of epoch 1."""
    two = [result("", {}), result("", {})]
    for one, losses, fast in zip(two, (relu, lrelu), more.pop("fast", (0.9, 0.9)), strict=True):
        one.run.history.validation_loss[: len(losses)] = losses
        one.run.history.train_accuracy[1] = fast
    return {"first": two[0], "second": two[1], "difference": OPEN, **more}


def surest(shortfalls: dict[int, float], shared: int = 30) -> Result:
    """Return a network sure of its 30 best images but {position: 1 - p}; the last are its own."""
    best = [
        ScoredImage(i if i < shared else i + 100, 0, math.log1p(-shortfalls.get(i, 0.0)))
        for i in range(30)
    ]
    return replace(result("", {}), top3=[best[i : i + 3] for i in range(0, 30, 3)])


def dying(first: str, second: str, dead: float) -> dict[str, Any]:
    """Return two settings with these dead units; in a third one ReLU always diverges."""
    relu = {"A": runs([0.9, None], first), "B": runs([0.9, 0.9], second), "C": runs([None, None])}
    stress = {name: {"ReLU": rows, LARGE: runs([0.9, 0.9])} for name, rows in relu.items()}
    return {"stress": stress, "dead": dead}


@pytest.mark.parametrize(
    ("keyword", "changed", "verdict", "shown"),
    [("조금 더", {"difference": UP}, "반박", "+0.300%p (95% 신뢰구간 +0.100 ~ +0.500%p)"),
     ("조금 더", {"difference": DOWN}, "확인", "−0.300%p (95% 신뢰구간 −0.500 ~ −0.100%p)"),
     ("조금 더", {"difference": OPEN}, "판정 불가", "+0.100%p (95% 신뢰구간 −0.100 ~ +0.300%p)"),
     ("조금 더", mistaken([0], [0, 1]), "반박", "0.9950 대 0.9900"),
     ("클래스별", mistaken([], range(10)), "확인", "ReLU 10개, LReLU 0개, 같은 클래스 0개"),
     ("클래스별", mistaken([13], [0, 1, 2]), "정정", "ReLU 3개, LReLU 1개, 같은 클래스 6개"),
     ("클래스별", mistaken([0, 1], [3]), "반박", "ReLU 1개, LReLU 2개, 같은 클래스 7개"),
     ("클래스별", mistaken([0], [1]), "판정 불가", "ReLU 1개, LReLU 1개, 같은 클래스 8개"),
     ("클래스별", mistaken(range(10), []), "반박", "ReLU 0개, LReLU 10개, 같은 클래스 0개"),
     ("대부분", {"first": surest({}), "second": surest({}, 14)}, "확인", "공통 14장"),
     ("대부분", {"first": surest({}), "second": surest({}, 15)}, "반박", "공통 15장"),
     ("일정", learned([2, 0.2, 0.1, 0.1], [2, 0.1, 0.1, 0.1]), "판정 불가", "ReLU 2 에폭, LReLU 1"),
     ("빠르다", learned([], [], fast=(0.9, 0.51)), "정정", "51.00% 이상"),
     ("빠르다", learned([], [], fast=(0.51, 0.9)), "정정", "51.00% 이상"),
     ("빠르다", learned([], [], fast=(0.9, 0.5)), "반박", "50.00% 이상"),
     ("처음", learned([2.4, 0.2], [2.3, 0.1]), "확인",
      "전에 LReLU가 더 낮고(ReLU 2.400, LReLU 2.300) 한 에폭 뒤에 LReLU가 더 낮다(0.2000, 0.1000)"),
     ("처음", learned([2.3, 0.1], [2.4, 0.2], first_epoch_difference=DOWN), "반박",
      "전에 ReLU가 더 낮고(ReLU 2.300, LReLU 2.400) 한 에폭 뒤에 ReLU가 더 낮다(0.1000, 0.2000)"),
     ("처음", learned([2.3, 0.2], [2.4, 0.1]), "정정", "뒤에 LReLU가 더 낮다(0.2000, 0.1000)"),
     ("처음", learned([2.4, 0.1], [2.3, 0.2], first_epoch_difference=DOWN), "정정", "−0.300%p"),
     # the loss and the accuracy after the first epoch contradict each other, or it is not clear
     ("처음", learned([2.4, 0.2], [2.3, 0.1], first_epoch_difference=DOWN), "판정 불가", "−0.3"),
     ("처음", learned([2.3, 0.1], [2.4, 0.2]), "판정 불가", "+0.300%p"),
     ("처음", learned([2.4, 0.2], [2.3, 0.1], first_epoch_difference=OPEN), "판정 불가", "+0.1"),
     ("활성화되지", dying("0.01|0.01", "0.6|0.2", 0.001), "확인", "0.10%이고, 'B'에서는 40%"),
     ("활성화되지", dying("0.01|0.01", "0|0", 0.03), "확인", "3.00%이고, 'A'에서는 1%"),
     ("활성화되지", dying("0|0", "0.021|0.021", 0.0), "확인", "0.00%이고, 'B'에서는 2%"),
     ("활성화되지", dying("0|0", "0.02|0.02", 0.02), "반박", "2.00%이고, 'B'에서는 2%")],
)  # fmt: skip
def test_claims(keyword: str, changed: dict[str, Any], verdict: str, shown: str) -> None:
    word, reason = claim(keyword, **changed)
    assert word == verdict
    assert shown in reason


@pytest.mark.parametrize(
    ("shortfall", "verdicts", "shown"),
    [(0.011, "반박 반박 반박", "$1.1 \\times 10^{-2}"),
     (0.009, "확인 반박 반박", "$9.0 \\times 10^{-3}"),
     (9e-4, "확인 확인 반박", "$9.0 \\times 10^{-4}"),
     (9e-8, "확인 확인 확인", "$9.0 \\times 10^{-8}")],
)  # fmt: skip
def test_claims_about_high_probabilities(shortfall: float, verdicts: str, shown: str) -> None:
    for two in permutations([surest({}), surest({4: shortfall / 2, 29: shortfall})]):
        pair = dict(zip(("first", "second"), two, strict=True))
        said = [claim("99%", **pair), claim("차이는 0.001보다", **pair),
                claim("차이는 0.0000001보다", **pair, framework="numpy")]  # fmt: skip
        assert [word for word, _ in said] == verdicts.split()
        assert all(shown in reason for _, reason in said)


@pytest.mark.parametrize(("changed", "verdict"), [((3, 5, 7), "확인"), ((2, 4, 6), "정정")])
def test_claim_that_other_images_are_learned(changed: tuple[int, ...], verdict: str) -> None:
    relu = ["", "1:3 2:3", "1:3 2:3 3:3 4:3 5:3 6:3"]  # differ in 2, 6 and 4 images: 4
    lrelu = [e + "".join(f" 1{i}:3" for i in range(n)) for e, n in zip(relu, changed, strict=True)]
    word, reason = claim("이미지가 다르게", relu_errors=relu, lrelu_errors=lrelu)
    assert word == verdict
    assert f"바꾼 두 망이 평균 {changed[1]}장" in reason
    assert "시드만 바꾼 두 망이 평균 4장" in reason
    assert ("탓이라고만" in reason) == (verdict == "정정")


WIN, LOSS = duel([0.8, 0.8], [0.9, 0.9]), duel([0.9, 0.9], [0.8, 0.8])


def test_claim_that_neither_is_always_better() -> None:
    word, reason = claim("항상 더", stress={"W": WIN, "L": LOSS})
    assert word == "확인"
    assert f"ReLU가 {LARGE}보다 나은 설정(L)과 {LARGE}가 ReLU보다 나은 설정(W)" in reason
    assert "없다" not in reason
    # one activation that wins and another one that loses do not show that either does both
    apart = {"W": WIN, "S": {"ReLU": LOSS["ReLU"], SMALL: LOSS[LARGE]}}
    assert claim("항상 더", stress=apart) == ("판정 불가", "우열이 뒤바뀌는 설정을 찾지 못했다")
    _, reason = claim("항상 더", stress=apart | {"L": LOSS})
    assert f"{SMALL}가 모든 시드에서 ReLU보다 나은 설정은 없다" in reason


def answer(
    chosen: pd.Series, other: pd.Series, gain: float = 0.02, stress: findings.Stress | None = None
) -> str:
    groups, relu = {SMALL: chosen, LARGE: other}, around(0.98, 0.0021)
    return conclusions.conclusion(SMALL, groups, relu, around(gain), stress or {})


@pytest.mark.parametrize(
    ("sign", "winner", "mean", "other"),
    [(1, f"서는 {SMALL}가 ReLU보다 낫다", "+0.200%p", "평균 0.300%p 높다."),
     (-1, f"서는 ReLU가 {SMALL}보다 낫다", "−0.200%p", "평균 0.300%p 낮다.")],
)  # fmt: skip
def test_the_answer_names_the_winner(sign: int, winner: str, mean: str, other: str) -> None:
    text = answer(around(0.002 * sign), around(0.003 * sign))
    for shown in (winner, f"차이는 {mean} (95%", f"{LARGE}는 ReLU보다 {other}"):
        assert shown in text
    assert text.count("보다 낫다") == text.count("는 ReLU보다 평균") == 1
    either = answer(around(0.001 * sign, 0.002), around(0.001, 0.002))
    for shown in ("3개 시드로도 가려지지 않는다", "0.60%p 이내",  # 0.1 + 2.484 * 0.2
                  "표준편차는 0.21%p", "변화는 +2.000%p"):  # fmt: skip
        assert shown in either
    assert "보다 평균" not in either


@pytest.mark.parametrize(("chosen", "other"), [(0.001, -0.003), (0.003, 0.001)])
def test_the_recipe_has_more_effect_from_twice_the_largest(chosen: float, other: float) -> None:
    for gain, much in ((0.0061, True), (0.0059, False), (-0.0061, True), (-0.0059, False)):
        assert ("효과가 훨씬 크다" in answer(around(chosen), around(other), gain)) == much


def test_the_answer_names_the_conditions_that_turn_it_round() -> None:
    two = (around(0.002), around(0.003))
    not_so = {"L": LOSS, "S": {"ReLU": WIN["ReLU"], SMALL: WIN[LARGE], LARGE: LOSS[LARGE]}}
    turned = not_so | {"W": WIN, "V": duel([None], [0.1])}
    assert "다른 조건(W, V)에서는" in answer(*two, stress=turned)
    assert "다른 조건" not in answer(*two, stress=not_so)


def test_means_table_keeps_its_columns_apart() -> None:
    test, validation, first = ({"ReLU": around(m, m / 100)} for m in (0.97, 0.98, 0.9))
    row = findings.means_table(test, validation, first).splitlines()[2].replace(NBSP, " ")
    assert row == "| ReLU | 3 | 98.00 ± 0.98% | 97.00 ± 0.97% | 90.00 ± 0.90% |"


@pytest.mark.parametrize(
    ("interval", "expected"),
    [(UP, "0.10 ~ 0.50%p"), (DOWN, "0.10 ~ 0.50%p"), (OPEN, "0.30%p를 넘지"),
     (Interval(-0.001, 0.001, 5, -0.003, 0.001), "0.30%p를 넘지")],
)  # fmt: skip
def test_the_size_of_a_difference_is_that_of_the_bounds(interval: Interval, expected: str) -> None:
    text = findings.verdict(SMALL, interval)
    assert expected in text
    assert "5개 시드" in text
    assert (f"{SMALL}가 ReLU보다 낫다" in text) == (interval is UP)
    assert (f"ReLU가 {SMALL}보다 낫다" in text) == (interval is DOWN)


def test_together_names_the_intervals_that_stay_clear_of_zero() -> None:
    edge = pd.Series([0.5, 1.0, 2.0, 2.5])  # clear of zero alone: 1.5 ± 1.45; not of three
    text = findings.together({"A": around(0.002), "B": edge, "C": -around(0.002)})
    for shown in ("구간 3개", "최대 15%", "98.3%로", "벗어나는 것은 A, C이다"):
        assert shown in text
    assert "벗어나는 구간이 없다" in findings.together({"A": edge, "B": edge})


def test_seeds_needed_for_an_effect_of_one_and_of_half_a_standard_deviation() -> None:
    text = findings.seeds_needed({SMALL: around(0, 0.001), LARGE: around(0, 0.002)})
    assert "0.1%p의 차이" in text
    assert f"{SMALL} 10개(차이의 표준편차 0.100%p)" in text  # Cohen's d of 1
    assert f"{LARGE} 34개(차이의 표준편차 0.200%p)" in text  # and of 0.5


def test_images_that_both_get_wrong_in_different_ways_are_disagreements() -> None:
    relu, lrelu = "1:0 2:0 3:0 8:0", "2:0 3:5 4:1 5:1 6:2 7:2 8:0"
    assert disagreements(relu, lrelu) == disagreements(lrelu, relu) == 6  # all but 2 and 8
    text = findings.one_pair(relu, lrelu, 10_000, ("ReLU", SMALL), 7)
    assert "시드 7의 두 망은 10,000장 가운데 6장" in text
    assert f"이미지는 3장이다(ReLU는 모두 4장, {SMALL}는 모두 7장" in text


def test_dead_units_are_those_of_the_end_but_the_largest_is_of_any_epoch() -> None:
    curves = {"ReLU": np.array([[0, 0], [0.01, 0.03], [0.01, 0.005]]), SMALL: np.zeros((3, 2))}
    text = findings.dead_units(curves)
    for shown in (f"ReLU 1.00% / 0.50%, {SMALL} 0.00% / 0.00%", "클 때 3.00%", "줄일 여지가"):
        assert shown in text
    curves["ReLU"][1, 1] = 0.019
    assert "적으므로" in findings.dead_units(curves)


def test_first_epoch_says_who_learns_faster() -> None:
    text = findings.first_epoch({"A": around(0.002), "B": -around(0.003), "C": around(0, 0.01)})
    for shown in ("A +0.200%p", "B −0.300%p", "C +0.000%p", "A는 첫 에폭에 ReLU보다 빠르게",
                  "B는 첫 에폭에 ReLU보다 느리게"):  # fmt: skip
        assert shown in text
    assert "C는" not in text
    assert "할 수 없다" not in text
    assert "할 수 없다" in findings.first_epoch({"C": around(0, 0.01)})


def test_ladder_adds_up_the_steps_and_lists_the_unclear_ones() -> None:
    sgd, noise = around(0.972, 0.002), pd.Series([-0.002, 0.002, 0.0], index=[2, 5, 7])
    groups = {"SGD": sgd, "+ momentum": sgd + 0.01}
    groups["+ decay"] = groups["+ momentum"] + 0.001 + noise
    groups["+ L2"] = groups["+ decay"] - 0.002
    last = groups["+ L2"] + 0.003 - 2 * noise
    groups["+ dropout"] = pd.concat([last, pd.Series({9: 0.5})])  # a seed that must not count
    text = findings.ladder(groups)
    for shown in ("SGD의 검증 정확도는 97.200%", "레시피는 98.400%", "시드 3개", "= 20$배",
                  "모멘텀 +1.000%p", "감쇠 +0.100%p", "L2 −0.200%p", "드롭아웃 +0.300%p",
                  "못한 단계는 학습률 감쇠, 드롭아웃이다"):  # fmt: skip
        assert shown in text
    assert "못한 단계" not in findings.ladder({n: groups[n] for n in ("SGD", "+ momentum")})


@pytest.mark.parametrize(
    ("stored", "expected"),
    [([1.0, 0.995 + 1e-13], "정확히 같다"), ([1.0, 0.995 + 1e-11], "최대 0.00%p"),
     ([0.9976, 0.9949], "최대 0.24%p"), ([0.9999, 0.9974], "최대 0.24%p"),
     ([0.9974, 0.995], "0.26%p 다르다"), ([1.0, 0.9976], "0.26%p 다르다"),
     ([1.0, None], "견줄 행이 없다")],
)  # fmt: skip
def test_live_and_stored_runs_may_differ_by_a_quarter_point(
    stored: list[float | None], expected: str
) -> None:
    text = findings.live_against_stored([result("", {}), result("", {0: 6})], stored)
    assert expected in text
    assert ("주의" in text) == ("0.26" in text)


def test_frameworks_subtract_numpy_from_pytorch_seed_by_seed() -> None:
    numpy = {n: pd.Series([0.5, 0.98, 0.982, 0.984], index=[1, 2, 5, 7]) for n in "ABC"}
    torch = {n: around(0.982, 0.002) + by for n, by in (("A", 0.001), ("B", -0.003))}
    torch["C"] = torch["A"].iloc[::-1].set_axis([2, 5, 7])  # differences 0.5, 0.1 and -0.3
    one, two, three = re.findall(r"[ABC]에서.*?다\.", findings.frameworks(numpy, torch))
    assert "A에서 PyTorch − NumPy의 테스트 정확도 차이는 +0.100%p" in one
    assert "B에서 PyTorch − NumPy의 테스트 정확도 차이는 −0.300%p" in two
    assert "+0.100%p (95% 신뢰구간 −0.894 ~ +1.094%p)" in three
    assert ["하지 않는다" in text for text in (one, two, three)] == [True, True, False]


def test_search_table_ranks_by_the_mean_of_both_activations() -> None:
    relu = {"D": around(0.97), "B": around(0.986, 0.002), "C": around(0.975)}
    relu["A"] = around(0.982, 0.002)
    leaky = {"B": around(0.98, 0.002), "A": around(0.99, -0.004)}
    _, _, *rows, _, text = findings.search_table(relu, leaky).replace(NBSP, " ").splitlines()
    assert rows[:3] == ["| A | 98.200 ± 0.200% | 99.000 ± 0.400% | 98.600 ± 0.100% |",
                        "| B | 98.600 ± 0.200% | 98.000 ± 0.200% | 98.300 ± 0.200% |",
                        "| C | 97.500 ± 0.010% | – | – |"]  # fmt: skip
    assert [row[2] for row in rows] == ["A", "B", "C", "D"]
    for shown in ("+0.300%p (95% 신뢰구간 −0.445 ~ +1.045%p)", "시드 3개씩", "상위 2개"):
        assert shown in text  # the two means differ by 0, 0.3 and 0.6


def test_stress_tables_show_the_middle_the_ends_and_the_lost_runs() -> None:
    runs_of = {"ReLU": runs([0.9, 0.97, 0.95, None], "0.4|0.2"), LARGE: runs([None] * 4)}
    row = findings.stress_table({"deep": runs_of}).splitlines()[2].replace(NBSP, " ")
    assert row == "| deep | 95.0% [90.0, 97.0], 죽은 유닛 30%, 발산 1/4 | 발산 4/4 |"
    mixed = findings.stress({"deep": duel([0.9] * 4 + [None], [0.92, 0.89, 0.93, 0.9, 0.9])})
    assert f"| −1.0%p ~ +3.0%p | 높음 2, 낮음 1, 발산 {LARGE} 0 / ReLU 1 |" in mixed
    assert "한쪽이 나은 것은 없다" in mixed
    text = findings.stress({"W": duel([0.8], [0.9]), "L": duel([0.9], [0.8])})
    assert f"높음 1, 낮음 0: **모두 {LARGE}** |" in text
    assert f"{LARGE}가 ReLU보다 나은 설정: W. 모든 시드에서 ReLU가 {LARGE}보다 나은 설정: L" in text


@pytest.mark.parametrize(
    ("relu", "leaky", "winner"),
    [([0.8, 0.9], [0.81, 0.91], LARGE), ([0.8, 0.9], [0.79, 0.89], "ReLU"),
     ([0.8, 0.9], [0.81, 0.89], None), ([0.8, 0.9], [0.81, 0.9], None),
     ([0.8, 0.9], [0.79, 0.9], None), ([None, 0.9], [0.1, 0.91], LARGE),
     ([0.1, 0.9], [None, 0.89], "ReLU"), ([None, 0.8], [None, 0.9], None),
     ([None, None], [0.1, 0.1], LARGE), ([None, 0.9], [0.1, 0.8], None)],
)  # fmt: skip
def test_always_better_is_better_in_every_seed(
    relu: Sequence[float | None], leaky: Sequence[float | None], winner: str | None
) -> None:
    expected = {} if winner is None else {("deep", LARGE): winner}
    assert findings.always_better({"deep": duel(relu, leaky)}) == expected


@pytest.mark.parametrize(
    ("accuracy", "dead", "shown"),
    [([0.95], "0.1|0.1", "유닛의 10%가 죽고도 검증 정확도의 중앙값이 95.0%"),
     ([0.97, 0.5, 0.96, None], "0.2|0.04", "유닛의 12%가 죽고도 검증 정확도의 중앙값이 96.0%"),
     ([0.97, 0.949, 0.94, None], "0.4|0.4", ""), ([0.99], "0.1|0.098", ""), ([None], "1|1", "")],
)  # fmt: skip
def test_survivors_have_many_dead_units_and_a_good_median(
    accuracy: Sequence[float | None], dead: str, shown: str
) -> None:
    stress = {"plain": {"ReLU": runs([0.98])}, "deep": {"ReLU": runs(accuracy, dead)}}
    text = findings.survivors(stress)
    assert (shown in text and "'deep'" in text) if shown else text == ""


def test_error_bars_are_the_interval_and_not_the_standard_deviation() -> None:
    ax = Figure().subplots()
    plots.percent_by_recipe(ax, {"A": around(0.5), "B": around(0.98, 0.002)}, "", "")
    bars = [c for c in ax.collections if isinstance(c, LineCollection)]
    low, high = bars[1].get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((98 - 0.49683, 98 + 0.49683), abs=1e-4)  # 2.4841 * 0.2
