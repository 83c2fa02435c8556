"""The verdicts on the earlier report's claims, the answer, and the README's table."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from mnist_mlp.commentary import interval_points, power, settled
from mnist_mlp.evaluation import (
    Interval,
    Result,
    largest_top3_gap,
    mean_interval,
    shared_top3,
)
from mnist_mlp.study_commentary import Stress, always_better
from mnist_mlp.study_rows import by_alpha, disagreements, final_dead_fraction

EARLIER = {
    "numpy": {"ReLU": 0.9701, "LReLU": 0.9682},
    "torch": {"ReLU": 0.9483, "LReLU": 0.9394},
}
"""Test accuracies of the earlier report, quoted for comparison."""


def claims(
    framework: str,
    first: Result,
    second: Result,
    difference: Interval,
    first_epoch_difference: Interval,
    relu_errors: Sequence[str],
    lrelu_errors: Sequence[str],
    dead: float,
    stress: Stress,
) -> str:
    """Return the table of the earlier report's claims with a verdict and its evidence.

    ``difference`` and ``first_epoch_difference`` are paired LReLU - ReLU over seeds, test accuracy
    and validation accuracy after one epoch; ``relu_errors`` and ``lrelu_errors`` are the mistakes
    of the same seeds in the same order; ``dead`` is the largest mean fraction of dead ReLU units
    with the chosen recipe, ``stress`` the search for where they matter.
    """
    recall = [np.diag(r.confusion) for r in (first, second)]
    relu_better, lrelu_better = (int(np.sum(a > b)) for a, b in (recall, recall[::-1]))
    shared = sum(shared_top3(first, second))
    shortfall = max(s.shortfall for r in (first, second) for best in r.top3 for s in best)
    gap = largest_top3_gap(first, second)
    old = EARLIER[framework]
    bound = 1e-7 if framework == "numpy" else 1e-3
    h = [r.run.history for r in (first, second)]
    after = min(1, len(h[0].train_loss) - 1)  # the first epoch, unless there was none
    settle = [settled(c.validation_loss) for c in h]
    most_dead = {
        setting: final_dead_fraction(runs)
        for setting, groups in stress.items()
        if len(runs := groups["ReLU"][groups["ReLU"]["diverged_after"].isna()])
    }
    deadest = max(most_dead, key=lambda setting: most_dead[setting])
    between_seeds = float(np.mean([disagreements(*two) for two in combinations(relu_errors, 2)]))
    pairs = zip(relu_errors, lrelu_errors, strict=True)
    between_activations = float(np.mean([disagreements(*pair) for pair in pairs]))
    only_activation = between_activations > between_seeds
    lower_before, lower_loss = (
        h[1].validation_loss[e] < h[0].validation_loss[e] for e in (0, after)
    )
    always, both_ways = reversals(stress)
    fast = min(c.train_accuracy[after] for c in h)
    undecided = (
        "판정 불가" if not difference.excludes_zero else ("반박" if difference.mean > 0 else "확인")
    )
    table = [
        (f"ReLU의 테스트 정확도가 조금 더 높다({old['ReLU']:.4f} 대 {old['LReLU']:.4f})", undecided,
         f"이번 실행 {first.test_accuracy:.4f} 대 {second.test_accuracy:.4f}; 시드 연구에서 LReLU − ReLU의 차이 "
         f"{interval_points(difference)}"),
        ("클래스별로도 ReLU가 더 정확하다",
         "확인" if relu_better == 10 else "정정" if relu_better > lrelu_better
         else "반박" if relu_better < lrelu_better else "판정 불가",
         f"시드 {first.run.seed} 한 번에서 더 많이 맞힌 클래스는 ReLU {relu_better}개, LReLU {lrelu_better}개, 같은 클래스 "
         f"{10 - relu_better - lrelu_better}개"),
        ("상위 3장의 확률이 모두 99% 이상이다", "확인" if shortfall <= 0.01 else "반박",
         f"가장 낮은 확률은 1에서 {power(shortfall)} 모자란다"),
        (f"두 망의 상위 확률 차이는 {np.format_float_positional(bound)}보다 작다", "확인" if gap < bound else "반박",
         f"같은 순위끼리의 최대 차이 {power(gap)}"),
        ("상위 3장은 두 활성화 함수에서 대부분 다르다", "확인" if shared < 15 else "반박",
         f"30장 가운데 공통 {shared}장"),
        ("활성화 함수가 다르면 이미지가 다르게 학습된다", "확인" if only_activation else "정정",
         f"답이 다른 이미지는 같은 시드에서 활성화 함수를 바꾼 두 망이 평균 {between_activations:.0f}장, 같은 ReLU에서 시드만 바꾼 두 망이 "
         f"평균 {between_seeds:.0f}장이다"
         + ("" if only_activation else ". 시드만 바뀌어도 달라지므로 활성화 함수 탓이라고만 할 수 없다")),
        ("검증 손실은 둘 다 비슷한 시기에 일정해진다", "판정 불가",
         f"시드 {first.run.seed} 한 번에서 검증 손실이 최솟값의 5% 안에 "
         + (f"계속 머무는 것은 ReLU {settle[0]} 에폭, LReLU {settle[1]} 에폭부터이다. "
            if max(settle) < len(h[0].validation_loss) else "끝까지 머물지 못한 망이 있다. ")
         + "한 번의 실행이라 일반화할 수 없다"),
        ("한 에폭 뒤에 정확도가 50%를 넘으므로 학습이 빠르다", "정정" if fast > 0.5 else "반박",
         f"한 에폭 뒤 훈련 정확도는 두 망 모두 {fast:.2%} 이상이다. 그러나 시그모이드와 견주지 않았으므로 활성화 함수 "
         "덕분이라는 근거는 아니다"),
        ("LReLU가 처음부터 손실이 작다",
         "판정 불가" if not first_epoch_difference.excludes_zero
         or lower_loss != (first_epoch_difference.mean > 0)
         else "정정" if lower_loss != lower_before else "확인" if lower_loss else "반박",
         f"검증 손실은 학습 전에 {'L' * lower_before}ReLU가 더 낮고(ReLU {h[0].validation_loss[0]:.3f}, LReLU "
         f"{h[1].validation_loss[0]:.3f}) 한 에폭 뒤에 {'L' * lower_loss}ReLU가 더 낮다({h[0].validation_loss[after]:.4f}, "
         f"{h[1].validation_loss[after]:.4f}). 여러 시드에서 첫 에폭 뒤 검증 정확도의 차이(LReLU − ReLU)는 {interval_points(first_epoch_difference)}"),
        ("ReLU에는 활성화되지 않는 유닛이 생길 위험이 있다", "확인" if max(dead, *most_dead.values()) > 0.02 else "반박",
         f"시드 평균으로 이 레시피에서는 많아도 {dead:.2%}이고, '{deadest}'에서는 {most_dead[deadest]:.0%}이다(01번 노트북 9.2절)"),
        ("어느 쪽이 항상 더 좋다고 말할 수 없다", "확인" if both_ways else "판정 불가", always),
    ]  # fmt: skip
    if framework == "numpy":  # the earlier report said this of the framework's network only
        table = [row for row in table if not row[0].startswith("LReLU가 처음부터")]
    lines = ["| 이전 보고서의 주장 | 판정 | 근거 |", "|---|---|---|"]
    return "\n".join(
        lines + [f"| {claim} | **{word}** | {reason} |" for claim, word, reason in table]
    )


def reversals(stress: Stress) -> tuple[str, bool]:
    """Say where ReLU, and where the same LReLU, is better in every seed; whether there are both."""
    winners = always_better(stress)
    said, never, both_ways = [], [], False
    names = dict.fromkeys(name for groups in stress.values() for name in groups)
    for name in [name for name in names if name != "ReLU"]:
        for_relu, for_lrelu = (
            [s for (s, n), who in winners.items() if n == name and who == better]
            for better in ("ReLU", name)
        )
        if for_relu and for_lrelu:
            both_ways = True
            said.append(
                f"모든 시드에서 ReLU가 {name}보다 나은 설정({', '.join(for_relu)})과 {name}가 ReLU보다 나은 설정"
                f"({', '.join(for_lrelu)})이 모두 있다(01번 노트북 9.2절)"
            )
        elif not for_lrelu:
            never.append(f"{name}가 모든 시드에서 ReLU보다 나은 설정은 없다")
    if not both_ways:
        return "우열이 뒤바뀌는 설정을 찾지 못했다", False
    return ". ".join([*said, *never]), True


def conclusion(
    name: str,
    groups: Mapping[str, pd.Series],
    relu: pd.Series,
    recipe_gain: pd.Series,
    stress: Stress,
) -> str:
    """Answer the assignment's question, ReLU or ``name``, from the seed study.

    ``groups`` are the paired differences to ReLU by activation, ``relu`` are ReLU's test accuracies
    by seed and ``recipe_gain`` is what the recipe adds to plain SGD in validation accuracy.
    """
    intervals = {n: mean_interval(v.to_numpy()) for n, v in groups.items()}
    difference = intervals[name]
    if difference.excludes_zero:
        better, worse = (name, "ReLU") if difference.mean > 0 else ("ReLU", name)
        answer = (
            f"이 망과 데이터, 이 레시피에서는 {better}가 {worse}보다 낫다. {name} − ReLU의 평균 차이는 "
            f"{interval_points(difference)}이다."
        )
    else:
        bound = 100 * max(abs(difference.low), abs(difference.high))
        answer = (
            f"이 망과 데이터, 이 레시피에서 {name}와 ReLU의 우열은 {difference.n}개 시드로도 가려지지 않는다. 차이가 있더라도 95% "
            f"신뢰구간으로 {bound:.2f}%p 이내이다."
        )
    others = [
        f"{n}는 ReLU보다 평균 {100 * abs(i.mean):.3f}%p {'높다' if i.mean > 0 else '낮다'}."
        for n, i in intervals.items()
        if n != name and i.excludes_zero
    ]
    gain = mean_interval(recipe_gain.to_numpy())
    compared = (
        f"견주어 보면, 01번 노트북의 NumPy ReLU 망에서 시드만 바꿀 때 테스트 정확도의 표준편차는 {100 * relu.std():.2f}%p이고, "
        f"단순 SGD에서 (학습률을 다시 고르지 않고) 지금의 레시피로 바꿀 때 검증 정확도의 변화는 {interval_points(gain)}이다."
    )
    if abs(gain.mean) > 2 * max(abs(i.mean) for i in intervals.values()):
        compared += " 하나는 테스트, 하나는 검증 데이터로 쟀지만, 활성화 함수의 차이보다 레시피의 효과가 훨씬 크다."
    reversed_in = [s for (s, n), who in always_better(stress).items() if n == who == "LReLU(0.3)"]
    limits = "레시피는 ReLU와 LReLU(0.1)의 검증 정확도로 골랐다. LReLU(0.3)에 맞추어 다시 고르면 LReLU(0.3)와 ReLU의 차이는 달라질 수 있다."
    if reversed_in:
        limits += (
            f" 다른 조건({', '.join(reversed_in)})에서는 모든 시드에서 LReLU(0.3)가 ReLU보다 나았다. 어느 함수가 나은지는 망과 학습 "
            "조건에 달려 있다."
        )
    return "**종합.** " + " ".join([answer, *others, compared, limits])


def readme_table(results: Sequence[Mapping[str, Any]], rows: pd.DataFrame) -> str:
    """Return the README's table from the two results files and the study."""
    lines = [
        "| 구현 | 활성화 함수 | 훈련 | 검증 | **테스트** | 여러 시드의 테스트 | 이전 보고서 |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        framework = result["framework"]
        seeds = by_alpha(rows, framework, "test_accuracy")
        for name in EARLIER[framework]:  # ReLU first, however a JSON file orders its keys
            run = result["runs"][name]
            activation = "ReLU" if name == "ReLU" else f"LReLU({result['recipe']['alpha']:g})"
            v = seeds[activation]
            lines.append(
                f"| {'NumPy' if framework == 'numpy' else 'PyTorch'} | {activation} | "
                f"{run['train_accuracy']:.2%} | {run['validation_accuracy']:.2%} | "
                f"**{run['test_accuracy']:.2%}** | {100 * v.mean():.2f} ± {100 * v.std():.2f}% ({len(v)}개) | "
                f"{EARLIER[framework][name]:.2%} |"
            )
    return "\n".join(lines)
