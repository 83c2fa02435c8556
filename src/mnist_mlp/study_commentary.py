"""Korean sentences made from the seed study."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mnist_mlp.commentary import interval_points, points
from mnist_mlp.evaluation import Interval, Result, mean_interval, seeds_to_detect
from mnist_mlp.study_plan import CHOSEN, LADDER
from mnist_mlp.study_rows import disagreements, final_dead_fraction, mistakes

Stress = Mapping[str, Mapping[str, pd.DataFrame]]
"""``{setting: {activation: rows by seed}}``, ReLU first."""
NBSP = "\N{NO-BREAK SPACE}"  # keeps "98.56 ± 0.08%" on one line
TARGET = 0.001
"""The difference that the study asks to be able to detect: 0.1 points."""


def means_table(
    test: Mapping[str, pd.Series],
    validation: Mapping[str, pd.Series],
    first: Mapping[str, pd.Series],
) -> str:
    """Return the table of mean and spread for each activation."""
    rows = ["| 활성화 함수 | 시드 수 | 검증 정확도 | 테스트 정확도 | 첫 에폭 뒤의 검증 정확도 |",
            "|---|---:|---:|---:|---:|"]  # fmt: skip
    for name in test:
        cells = [
            f"{100 * v.mean():.2f}{NBSP}±{NBSP}{100 * v.std():.2f}%"
            for v in (validation[name], test[name], first[name])
        ]
        rows.append(f"| {name} | {len(test[name])} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def differences(groups: Mapping[str, pd.Series]) -> list[str]:
    """Say for each activation whether a difference to ReLU has been shown, and how large it can be."""
    return [verdict(name, mean_interval(values.to_numpy())) for name, values in groups.items()]


def verdict(name: str, interval: Interval) -> str:
    """Say what the paired differences of one activation to ReLU show."""
    start = (
        f"**{name} − ReLU.** 같은 시드끼리 뺀 테스트 정확도의 차이는 {interval.n}개 시드 평균 "
        f"{interval_points(interval)}이다. "
    )
    small, large = sorted(100 * abs(v) for v in (interval.low, interval.high))
    if not interval.excludes_zero:
        return start + (
            "구간이 0을 포함하므로 차이가 있다고 할 수 없다. 차이가 있더라도 신뢰구간에 따르면 "
            f"{large:.2f}%p를 넘지 않을 것이다."
        )
    better, worse = (name, "ReLU") if interval.mean > 0 else ("ReLU", name)
    return (
        start
        + f"구간이 0을 포함하지 않으므로 이 조건에서는 {better}가 {worse}보다 낫다. 차이의 크기는 95% 신뢰구간으로 "
        f"{small:.2f} ~ {large:.2f}%p이다."
    )


def together(groups: Mapping[str, pd.Series]) -> str:
    """Say what remains when all activations are compared at once (Bonferroni)."""
    n = len(groups)
    wide = {k: mean_interval(v.to_numpy(), 1 - 0.05 / n) for k, v in groups.items()}
    shown = [name for name, interval in wide.items() if interval.excludes_zero]
    return (
        f"**한꺼번에 견줄 때.** 구간 {n}개를 함께 보면 차이가 없어도 하나 이상이 우연히 0을 벗어날 확률이 최대 {5 * n}%이다. "
        f"이를 감안해 신뢰수준을 {100 - 5 / n:.1f}%로 높이면(본페로니 보정) "
        + (f"0을 벗어나는 것은 {', '.join(shown)}이다." if shown else "0을 벗어나는 구간이 없다.")
    )


def seeds_needed(groups: Mapping[str, pd.Series]) -> str:
    """Say how many seeds it takes to detect a difference of 0.1 points."""
    needed = ", ".join(
        f"{name} {seeds_to_detect(TARGET, float(v.std()))}개(차이의 표준편차 {100 * v.std():.3f}%p)"
        for name, v in groups.items()
    )
    return (
        f"**필요한 시드의 수.** {100 * TARGET:.1f}%p의 차이를 유의수준 5%, 검정력 80%로 찾아내려면 "
        f"짝지은 t 검정에 다음만큼의 시드가 필요하다: {needed}. 한 번씩의 실행으로는 찾을 수 없다."
    )


def one_pair(relu: str, lrelu: str, n_test: int, names: tuple[str, str], seed: int) -> str:
    """Say on how many images two paired networks of the study differ, and fail together."""
    first, second = mistakes(relu), mistakes(lrelu)
    both = len(set(first) & set(second))
    return (
        f"**이미지별 불일치.** 시드 {seed}의 두 망은 {n_test:,}장 가운데 {disagreements(relu, lrelu)}장에서 답이 다르다. 두 망이 "
        f"함께 틀린 이미지는 {both}장이다({names[0]}는 모두 {len(first)}장, {names[1]}는 모두 {len(second)}장을 틀렸다)."
    )


def dead_units(curves: Mapping[str, NDArray[np.float64]]) -> str:
    """Say what fraction of the units is dead at the end, for each activation."""
    largest = float(curves["ReLU"].max())
    listed = ", ".join(
        f"{name} " + " / ".join(f"{v:.2%}" for v in values[-1]) for name, values in curves.items()
    )
    return (
        "**죽은 유닛.** 여기서 죽은 유닛은 검증 이미지 어느 것에도 양수가 되지 않는 유닛이다(LReLU에서는 이런 유닛도 기울기를 "
        "받는다). 그 비율은 학습이 끝났을 때 "
        f"(은닉층 1 / 은닉층 2) {listed}이다. ReLU의 시드 평균은 모든 에폭과 층을 통틀어 가장 클 때 {largest:.2%}이다. "
        + (
            "죽은 ReLU 유닛이 이만큼 적으므로, 이 레시피에서 LReLU로 줄일 수 있는 죽은 유닛도 적다."
            if largest < 0.02
            else "죽은 ReLU 유닛이 적지 않으므로 LReLU로 줄일 여지가 있다."
        )
    )


def first_epoch(groups: Mapping[str, pd.Series]) -> str:
    """Say whether the activation changes how fast the first epoch learns."""
    said = [f"{name} {interval_points(mean_interval(v.to_numpy()))}" for name, v in groups.items()]
    shown = []
    for name, values in groups.items():
        interval = mean_interval(values.to_numpy())
        if interval.excludes_zero:
            speed = "빠르게" if interval.mean > 0 else "느리게"
            shown.append(f"구간이 0을 벗어난 {name}는 첫 에폭에 ReLU보다 {speed} 배운다.")
    return (
        f"**첫 에폭의 속도.** 첫 에폭 뒤의 검증 정확도에서 ReLU와의 차이는 {', '.join(said)}이다. "
        + (" ".join(shown) if shown
           else "어느 구간도 0을 벗어나지 않으므로, 어느 활성화 함수가 더 빨리 배운다고 할 수 없다.")
    )  # fmt: skip


def ladder(groups: Mapping[str, pd.Series]) -> str:
    """Say what each step of the recipe adds to validation accuracy."""
    korean = dict(zip(LADDER, ("단순 SGD", "모멘텀", "학습률 감쇠", "L2", "드롭아웃"), strict=True))
    names = list(groups)
    steps, unclear = [], []
    for before, after in pairwise(names):
        interval = mean_interval((groups[after] - groups[before]).dropna().to_numpy())
        steps.append(f"{korean[after]} {interval_points(interval)}")
        unclear += [] if interval.excludes_zero else [korean[after]]
    first, last = groups[names[0]], groups[names[-1]]
    larger = 1 / (1 - CHOSEN.momentum)
    return (
        f"**단계별 효과.** 단순 SGD의 검증 정확도는 {100 * first.mean():.3f}%, 완성된 레시피는 "
        f"{100 * last.loc[first.index].mean():.3f}%이다(ReLU, 시드 {len(first)}개 평균). 단계마다의 변화는 "
        f"{', '.join(steps)}이다. 학습률은 모두 {CHOSEN.lr:g}에서 시작하고 단계마다 다시 고르지 않았다. 모멘텀 "
        f"{CHOSEN.momentum:g}는 실질 학습률을 $1/(1-{CHOSEN.momentum:g}) = {larger:.0f}$배로 키우므로, 첫 단계의 변화에는 "
        "학습률이 커진 효과가 섞여 있다."
        + (f" 신뢰구간이 0을 포함해 효과를 확인하지 못한 단계는 {', '.join(unclear)}이다." if unclear else "")
    )  # fmt: skip


def live_against_stored(pair: Sequence[Result], stored: Sequence[float | None]) -> str:
    """Compare this notebook's runs with the study's rows of the same recipe and seed.

    On the machine of the study both are equal; another processor or BLAS adds up in another order,
    a unit then falls on the other side of 0, and the runs part. Seeds differ by less than 0.25
    points from each other, so that a larger difference means that something else has changed.
    """
    if any(value is None for value in stored):
        return (
            "**저장된 연구와의 일치.** 이 실행의 데이터, 레시피, 시드 가운데 하나가 저장된 연구에 없으므로 "
            "견줄 행이 없다. 아래의 그림과 문장은 저장된 MNIST 연구의 것이고, 10절의 판정은 조건이 다른 이 실행과 그 연구를 함께 "
            "쓴 것이다."
        )
    gaps = [abs(r.test_accuracy - v) for r, v in zip(pair, stored, strict=True) if v is not None]
    largest = max(gaps)
    if largest < 1e-12:
        return "**저장된 연구와의 일치.** 이 노트북에서 방금 학습한 두 망의 테스트 정확도는 저장된 연구의 같은 시드와 정확히 같다."
    if largest <= 0.0025 + 1e-12:  # 25 images of 10,000, however the difference was rounded
        return (
            f"**저장된 연구와의 일치.** 방금 학습한 두 망의 테스트 정확도는 저장된 같은 시드와 최대 {100 * largest:.2f}%p "
            "다르다. 다른 컴퓨터에서 반올림 순서가 달라질 때 생기는 정도(0.25%p 이내)이다."
        )
    return (
        f"**주의: 저장된 연구와 다르다.** 방금 학습한 망의 테스트 정확도가 저장된 같은 시드와 {100 * largest:.2f}%p "
        "다르다. 반올림으로 설명되는 0.25%p를 넘으므로 코드나 데이터가 바뀌었는지 확인하고 `make study`를 다시 실행해야 한다."
    )


def frameworks(numpy_groups: Mapping[str, pd.Series], torch_groups: Mapping[str, pd.Series]) -> str:
    """Say whether PyTorch's networks differ from NumPy's, seed by seed."""
    said = []
    for name, values in torch_groups.items():
        interval = mean_interval((values - numpy_groups[name]).dropna().to_numpy())
        verdict = "0을 포함하지 않는다" if interval.excludes_zero else "0을 포함한다"
        said.append(
            f"{name}에서 PyTorch − NumPy의 테스트 정확도 차이는 {interval_points(interval)}로 구간이 {verdict}."
        )
    return "**구현의 차이.** " + " ".join(said)


def search_table(relu: Mapping[str, pd.Series], leaky: Mapping[str, pd.Series]) -> str:
    """Return the recipes that were tried, the chosen one first.

    ``relu`` and ``leaky`` are validation accuracies by seed; those of the finalists in both.
    """

    def mean(name: str) -> pd.Series:
        return (relu[name] + leaky[name]) / 2

    def cell(values: pd.Series) -> str:
        return f"{100 * values.mean():.3f}{NBSP}±{NBSP}{100 * values.std():.3f}%"

    finalists = sorted(leaky, key=lambda name: -mean(name).mean())
    others = sorted(set(relu) - set(leaky), key=lambda name: -relu[name].mean())
    lines = ["| 탐색한 레시피 | ReLU | LReLU(0.1) | 두 함수의 평균 |", "|---|---:|---:|---:|"]
    lines += [f"| {n} | {cell(relu[n])} | {cell(leaky[n])} | {cell(mean(n))} |" for n in finalists]
    lines += [f"| {n} | {cell(relu[n])} | – | – |" for n in others]
    gap = mean_interval((mean(finalists[0]) - mean(finalists[1])).to_numpy())
    return "\n".join(lines) + (
        f"\n\n시드 {gap.n}개씩의 검증 정확도이다. 먼저 ReLU로 모두 견주고, 상위 {len(finalists)}개를 LReLU(0.1)로도 학습해 두 함수의 "
        f"평균이 가장 높은 레시피를 골랐다. 2위와의 차이는 {interval_points(gap)}로 작다. 시드가 {gap.n}개뿐이고 가장 좋은 것을 고른 뒤에 잰 "
        "구간이므로, 1위가 정말 낫다는 뜻으로 읽지는 않는다."
    )


def stress_table(stress: Stress) -> str:
    """Return validation accuracy and dead units for each setting and activation."""
    names = list(next(iter(stress.values())))
    lines = ["| 설정 | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for setting, groups in stress.items():
        cells = []
        for runs in groups.values():
            finished = runs[runs["diverged_after"].isna()]
            diverged = len(runs) - len(finished)
            parts = []
            if len(finished):
                v = 100 * finished["validation_accuracy"]
                parts.append(f"{v.median():.1f}% [{v.min():.1f}, {v.max():.1f}]")
                parts.append(f"죽은 유닛 {final_dead_fraction(finished):.0%}")
            if diverged:
                parts.append(f"발산 {diverged}/{len(runs)}")
            cells.append(", ".join(part.replace(" ", NBSP) for part in parts))
        lines.append(f"| {setting} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def always_better(stress: Stress) -> dict[tuple[str, str], str]:
    """Return where one activation beats the other in every seed: ``{(setting, LReLU): winner}``.

    Higher validation accuracy, or finishing where the other one diverges.
    """
    found = {}
    for setting, groups in stress.items():
        relu = groups["ReLU"]["validation_accuracy"].where(groups["ReLU"]["diverged_after"].isna())
        for name, runs in list(groups.items())[1:]:
            leaky = runs["validation_accuracy"].where(runs["diverged_after"].isna())
            if (relu.fillna(-1) < leaky.fillna(-1)).all():
                found[setting, name] = name
            elif (relu.fillna(-1) > leaky.fillna(-1)).all():
                found[setting, name] = "ReLU"
    return found


def stress(stress: Stress) -> str:
    """Say in which settings one activation is better in every seed, on validation data."""
    lines = ["| 설정 | 비교 | 차이의 최솟값 ~ 최댓값 | 시드별 우열 |", "|---|---|---|---|"]
    better = always_better(stress)
    for setting, groups in stress.items():
        ends = {n: r[r["diverged_after"].isna()]["validation_accuracy"] for n, r in groups.items()}
        lost = {name: len(runs) - len(ends[name]) for name, runs in groups.items()}
        for name in list(groups)[1:]:
            difference = (ends[name] - ends["ReLU"]).dropna()
            higher = int((difference > 0).sum())
            word = f"높음 {higher}, 낮음 {int((difference < 0).sum())}"
            if lost[name] or lost["ReLU"]:
                word += f", 발산 {name} {lost[name]} / ReLU {lost['ReLU']}"
            if winner := better.get((setting, name)):
                word += f": **모두 {winner}**"
            low_high = "–"
            if len(difference):
                low_high = f"{points(difference.min(), 1)} ~ {points(difference.max(), 1)}"
            lines.append(f"| {setting} | {name}{NBSP}−{NBSP}ReLU | {low_high} | {word} |")
    found = []
    for name in list(next(iter(stress.values())))[1:]:
        for winner, other in ((name, "ReLU"), ("ReLU", name)):
            settings = [s for (s, n), who in better.items() if n == name and who == winner]
            if settings:
                found.append(
                    f"모든 시드에서 {winner}가 {other}보다 나은 설정: {', '.join(settings)}."
                )
    summary = " ".join(found) or "찾아본 설정 가운데 모든 시드에서 한쪽이 나은 것은 없다."
    return "\n".join(lines) + "\n\n" + summary + survivors(stress)


def survivors(stress: Stress) -> str:
    """Name a setting in which many ReLU units die and the accuracy is good all the same."""
    for setting, groups in stress.items():
        relu = groups["ReLU"]
        relu = relu[relu["diverged_after"].isna()]
        if len(relu) == 0:
            continue
        dead, median = final_dead_fraction(relu), relu["validation_accuracy"].median()
        if dead >= 0.1 and median >= 0.95:
            return (
                f" '{setting}'에서 ReLU는 유닛의 {dead:.0%}가 죽고도 검증 정확도의 중앙값이 {median:.1%}이므로, 죽은 유닛이 "
                "많다고 반드시 정확도가 무너지는 것은 아니다."
            )
    return ""
