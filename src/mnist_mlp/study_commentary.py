"""Korean sentences made from the seed study, and the verdicts on the earlier report's claims."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mnist_mlp.commentary import EARLIER, interval_points, points
from mnist_mlp.evaluation import Interval, Result, mcnemar, mean_interval, seeds_to_detect
from mnist_mlp.study_rows import by_alpha, final_dead_fraction, mistakes

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
            f"{100 * v.mean():.2f} ± {100 * v.std():.2f}%"
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
    bound = 100 * max(abs(interval.low), abs(interval.high))
    if not interval.excludes_zero:
        return start + (
            "구간이 0을 포함하므로 차이가 있다고 할 수 없다. 차이가 있더라도 신뢰구간에 따르면 "
            f"{bound:.2f}%p를 넘지 않을 것이다."
        )
    better, worse = (name, "ReLU") if interval.mean > 0 else ("ReLU", name)
    return (
        start
        + f"구간이 0을 포함하지 않으므로 이 조건에서는 {better}가 {worse}보다 낫다. 다만 크기는 최대 {bound:.2f}%p이다."
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
    """Say on how many images two paired networks of the study differ, with McNemar's test."""
    first, second = mistakes(relu), mistakes(lrelu)
    correct = np.ones((2, n_test), bool)
    correct[0, list(first)] = False
    correct[1, list(second)] = False
    guesses = [i for i in set(first) | set(second) if first.get(i) != second.get(i)]
    test = mcnemar(correct[0], correct[1])
    conclusion = (
        "차이가 있다고 볼 근거가 있다" if test.p_value < 0.05 else "차이가 있다고 볼 근거가 없다"
    )
    return (
        f"**이미지별 불일치.** 시드 {seed}의 두 망은 {n_test:,}장 가운데 {len(guesses)}장에서 답이 다르다. "
        f"{names[0]}만 맞힌 것이 {test.only_first}장, {names[1]}만 맞힌 것이 {test.only_second}장이며 정확 "
        f"맥니마 검정의 p값은 {test.p_value:.3f}으로, 유의수준 5%에서 {conclusion}. 정확도가 거의 같은 두 망도 틀리는 이미지는 "
        "서로 다르다."
    )


def seed_disagreement(cells: Sequence[str]) -> float:
    """Return the mean number of test images on which two seeds of one recipe disagree."""
    wrong = [mistakes(cell) for cell in cells]
    counts = [
        sum(a.get(i) != b.get(i) for i in set(a) | set(b))
        for k, a in enumerate(wrong)
        for b in wrong[k + 1 :]
    ]
    return float(np.mean(counts))


def dead_units(curves: Mapping[str, NDArray[np.float64]]) -> str:
    """Say what fraction of the units is dead at the end, for each activation."""
    largest = max(float(values.max()) for values in curves.values())
    listed = ", ".join(
        f"{name} " + " / ".join(f"{v:.2%}" for v in values[-1]) for name, values in curves.items()
    )
    return (
        "**죽은 유닛.** 검증 이미지 어느 것에도 양수가 되지 않는 유닛의 비율은 학습이 끝났을 때 "
        f"(은닉층 1 / 은닉층 2) {listed}이다. 모든 에폭과 층을 통틀어 평균이 가장 큰 때에도 {largest:.2%}이다. "
        + (
            "이 레시피에서는 ReLU의 죽은 유닛이 문제가 되지 않으므로 LReLU가 고쳐 줄 것도 거의 없다."
            if largest < 0.02
            else "LReLU에서는 이런 유닛도 음수 쪽 기울기로 계속 학습한다."
        )
    )


def first_epoch(groups: Mapping[str, pd.Series]) -> str:
    """Say whether the activation changes how fast the first epoch learns."""
    said = [f"{name} {interval_points(mean_interval(v.to_numpy()))}" for name, v in groups.items()]
    shown = [n for n, v in groups.items() if mean_interval(v.to_numpy()).excludes_zero]
    return (
        f"**첫 에폭의 속도.** 첫 에폭 뒤의 검증 정확도에서 ReLU와의 차이는 {'; '.join(said)}이다. "
        + (f"구간이 0을 벗어난 것은 {', '.join(shown)}이다." if shown
           else "어느 구간도 0을 벗어나지 않으므로, 어느 활성화 함수가 더 빨리 배운다고 할 수 없다.")
    )  # fmt: skip


def ladder(groups: Mapping[str, pd.Series]) -> str:
    """Say what each step of the recipe adds to validation accuracy."""
    names = list(groups)
    steps = []
    for before, after in pairwise(names):
        common = (groups[after] - groups[before]).dropna()
        steps.append(
            f"{after.removeprefix('+ ')}: {interval_points(mean_interval(common.to_numpy()))}"
        )
    first, last = groups[names[0]], groups[names[-1]]
    return (
        f"**레시피의 사다리.** 단순 SGD의 검증 정확도는 {100 * first.mean():.2f}%, 완성된 레시피는 "
        f"{100 * last.loc[first.index].mean():.2f}%이다(시드 {len(first)}개 평균). 단계마다 더해진 양은 "
        + "; ".join(steps) + "이다."
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
            "견줄 행이 없다. 아래의 그림과 문장은 저장된 연구(MNIST)의 것이다."
        )
    gaps = [abs(r.test_accuracy - v) for r, v in zip(pair, stored, strict=True) if v is not None]
    largest = max(gaps)
    if largest < 1e-12:
        return "**저장된 연구와의 일치.** 이 노트북에서 방금 학습한 두 망의 테스트 정확도는 저장된 연구의 같은 시드와 정확히 같다."
    if largest <= 0.0025:
        return (
            f"**저장된 연구와의 일치.** 방금 학습한 두 망의 테스트 정확도는 저장된 같은 시드와 최대 {100 * largest:.2f}%p "
            "다르다. 다른 컴퓨터에서 반올림 순서가 달라질 때 생기는 정도(0.25%p 이내)이다."
        )
    return (
        f"**주의: 저장된 연구와 다르다.** 방금 학습한 망의 테스트 정확도가 저장된 같은 시드와 {100 * largest:.2f}%p "
        "다르다. 반올림으로 설명되는 0.25%p를 넘으므로 코드나 데이터가 바뀌었는지 확인하고 `make study`를 다시 실행해야 한다."
    )


def claims(
    framework: str,
    first: Result,
    second: Result,
    difference: Interval,
    first_epoch_difference: Interval,
    relu_errors: Sequence[str],
    pair_errors: tuple[str, str],
    dead: float,
) -> str:
    """Return the table of the earlier report's claims with a verdict and its evidence.

    ``difference`` and ``first_epoch_difference`` are paired LReLU - ReLU over seeds, test accuracy
    and validation accuracy after one epoch; ``relu_errors`` and ``pair_errors`` are the mistakes of
    ReLU's seeds and of the pair that this notebook trained; ``dead`` is the largest mean fraction
    of dead ReLU units.
    """
    recall = [np.diag(r.confusion) for r in (first, second)]
    relu_better = int(np.sum(recall[0] > recall[1]))
    shared = sum(
        len({s.index for s in a} & {s.index for s in b})
        for a, b in zip(first.top3, second.top3, strict=True)
    )
    lowest = min(s.probability for r in (first, second) for best in r.top3 for s in best)
    gap = max(
        abs(a.probability - b.probability)
        for x, y in zip(first.top3, second.top3, strict=True)
        for a, b in zip(x, y, strict=True)
    )
    old = EARLIER[framework]
    bound = 1e-7 if framework == "numpy" else 1e-3
    h = [r.run.history for r in (first, second)]
    settle = [
        int(np.argmax(np.array(c.validation_loss) <= 1.05 * min(c.validation_loss))) for c in h
    ]
    between_seeds = seed_disagreement(relu_errors)
    a, b = (mistakes(cell) for cell in pair_errors)
    between_activations = sum(a.get(i) != b.get(i) for i in set(a) | set(b))
    fast = min(c.train_accuracy[min(1, len(c.train_accuracy) - 1)] for c in h)
    undecided = (
        "판정 불가" if not difference.excludes_zero else ("반박" if difference.mean > 0 else "확인")
    )
    table = [
        (f"ReLU의 테스트 정확도가 조금 더 높다({old['ReLU']:.4f} 대 {old['LReLU']:.4f})", undecided,
         f"이번 실행 {first.test_accuracy:.4f} 대 {second.test_accuracy:.4f}; 시드 연구 LReLU − ReLU "
         f"{interval_points(difference)}"),
        ("클래스별로도 ReLU가 더 정확하다", "확인" if relu_better == 10 else "정정",
         f"ReLU가 더 많이 맞힌 클래스는 10개 중 {relu_better}개"),
        ("상위 3장의 확률이 모두 99% 이상이다", "확인" if lowest >= 0.99 else "반박",
         f"가장 낮은 확률 {lowest:.6f}"),
        (f"두 망의 상위 확률 차이는 {bound:g}보다 작다", "확인" if gap < bound else "반박",
         f"같은 순위끼리의 최대 차이 {gap:.1e}"),
        ("상위 3장은 두 활성화 함수에서 대부분 다르다", "확인" if shared < 15 else "반박",
         f"30장 가운데 공통 {shared}장"),
        ("활성화 함수가 다르면 이미지가 다르게 학습된다", "정정",
         f"답이 다른 이미지: 활성화 함수만 바꾼 두 망 {between_activations}장, 같은 ReLU에서 시드만 바꾼 두 망 "
         f"평균 {between_seeds:.0f}장. 시드만 바뀌어도 달라지므로 활성화 함수 탓이라고만 할 수 없다"),
        ("검증 손실은 둘 다 비슷한 시기에 일정해진다", "확인" if abs(settle[0] - settle[1]) <= 3 else "반박",
         f"최솟값의 5% 안에 드는 에폭: {settle[0]}와 {settle[1]}"),
        ("한 에폭 뒤에 정확도가 50%를 넘으므로 학습이 빠르다", "정정" if fast > 0.5 else "반박",
         f"한 에폭 뒤 훈련 정확도 {fast:.2%} 이상인 것은 맞다. 그러나 시그모이드와 견주지 않았으므로 활성화 함수 "
         "덕분이라는 근거는 아니다"),
        ("LReLU가 처음부터 손실이 작다", "판정 불가" if not first_epoch_difference.excludes_zero else
         ("확인" if first_epoch_difference.mean > 0 else "반박"),
         f"첫 에폭 뒤 검증 정확도의 차이 {interval_points(first_epoch_difference)}"),
        ("ReLU에는 활성화되지 않는 유닛이 생길 위험이 있다", "정정" if dead < 0.02 else "확인",
         f"이 레시피에서 죽은 ReLU 유닛은 평균 최대 {dead:.2%}"),
        ("어느 쪽이 항상 더 좋다고 말할 수 없다", "확인" if not difference.excludes_zero else "정정",
         "짝지은 차이의 신뢰구간이 0을 포함한다" if not difference.excludes_zero else
         f"이 조건에서는 평균 {points(difference.mean, 3)}로 한쪽이 낫지만, 다른 조건에까지 말해 주지는 않는다"),
    ]  # fmt: skip
    if framework == "numpy":  # the earlier report said this of the framework's network only
        table = [row for row in table if not row[0].startswith("LReLU가 처음부터")]
    lines = ["| 이전 보고서의 주장 | 판정 | 근거 |", "|---|---|---|"]
    return "\n".join(
        lines + [f"| {claim} | **{word}** | {reason} |" for claim, word, reason in table]
    )


def conclusion(name: str, difference: Interval, relu: pd.Series, recipe_gain: pd.Series) -> str:
    """Answer the assignment's question from the seed study.

    ``difference`` is the paired interval of LReLU - ReLU, ``relu`` are ReLU's test accuracies by
    seed and ``recipe_gain`` is what the recipe adds to plain SGD in validation accuracy.
    """
    bound = 100 * max(abs(difference.low), abs(difference.high))
    gain = mean_interval(recipe_gain.to_numpy())
    compared = (
        f"견주어 보면, ReLU의 시드를 바꿀 때 테스트 정확도의 표준편차는 {100 * relu.std():.2f}%p이고, 단순 SGD를 지금의 "
        f"레시피로 바꾸어 얻은 검증 정확도는 {interval_points(gain)}이다."
    )
    if not difference.excludes_zero:
        return (
            f"**종합.** 이 망과 데이터에서 {name}와 ReLU의 우열은 {difference.n}개 시드로도 가려지지 않는다. 차이가 "
            f"있더라도 95% 신뢰구간으로 {bound:.2f}%p 이내이다. " + compared
        )
    better = name if difference.mean > 0 else "ReLU"
    return (
        f"**종합.** 이 망과 데이터, 이 레시피에서는 {better}가 낫다. 평균 차이는 {interval_points(difference)}이다. "
        + compared + " 다른 망이나 데이터에서도 그렇다는 뜻은 아니다."
    )  # fmt: skip


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
        return f"{100 * values.mean():.3f} ± {100 * values.std():.3f}%"

    finalists = sorted(leaky, key=lambda name: -mean(name).mean())
    others = sorted(set(relu) - set(leaky), key=lambda name: -relu[name].mean())
    lines = ["| 탐색한 레시피 | ReLU | LReLU(0.1) | 두 함수의 평균 |", "|---|---:|---:|---:|"]
    lines += [f"| {n} | {cell(relu[n])} | {cell(leaky[n])} | {cell(mean(n))} |" for n in finalists]
    lines += [f"| {n} | {cell(relu[n])} | – | – |" for n in others]
    gap = mean_interval((mean(finalists[0]) - mean(finalists[1])).to_numpy())
    return "\n".join(lines) + (
        f"\n\n시드 {gap.n}개씩의 검증 정확도이다. 먼저 ReLU로 모두 견주고, 상위 {len(finalists)}개를 LReLU(0.1)로도 학습해 두 함수의 "
        f"평균이 가장 높은 레시피를 골랐다. 다만 2위와의 차이는 {interval_points(gap)}로, "
        + (
            "구간이 0을 벗어난다."
            if gap.excludes_zero
            else "우연으로 설명되는 크기이다. 위쪽의 레시피는 사실상 동등하다."
        )
    )


def stress_table(stress: Mapping[str, Mapping[str, pd.DataFrame]]) -> str:
    """Return validation accuracy and dead units for each setting and activation."""
    names = list(next(iter(stress.values())))
    lines = ["| 설정 | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for setting, groups in stress.items():
        cells = []
        for runs in groups.values():
            finished = runs[runs["diverged_after"].isna()]
            diverged = len(runs) - len(finished)
            parts = []
            if len(finished):
                accuracy = 100 * finished["validation_accuracy"]
                parts.append(f"{accuracy.mean():.1f} ± {accuracy.std(ddof=0):.1f}%")
                parts.append(f"죽은 유닛 {final_dead_fraction(finished):.0%}")
            if diverged:
                parts.append(f"발산 {diverged}/{len(runs)}")
            cells.append(", ".join(parts))
        lines.append(f"| {setting} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def stress(stress: Mapping[str, Mapping[str, pd.DataFrame]]) -> str:
    """Say in which settings an activation is shown to be better on validation data."""
    lines = ["| 설정 | 비교 | 검증 정확도의 차이 | 판정 |", "|---|---|---|---|"]
    shown: list[str] = []
    for setting, groups in stress.items():
        finished = {
            n: r[r["diverged_after"].isna()]["validation_accuracy"] for n, r in groups.items()
        }
        lost = {name: len(runs) - len(finished[name]) for name, runs in groups.items()}
        for name in list(groups)[1:]:
            if lost[name] or lost["ReLU"]:
                text, word = (
                    f"발산: {name} {lost[name]}회, ReLU {lost['ReLU']}회",
                    "평균을 견줄 수 없음",
                )
            else:
                interval = mean_interval((finished[name] - finished["ReLU"]).to_numpy())
                text = interval_points(interval)
                word = "차이를 보일 수 없음"
                if interval.excludes_zero:
                    word = f"**{name if interval.mean > 0 else 'ReLU'}가 낫다**"
                    shown += [] if setting in shown else [setting]
            lines.append(f"| {setting} | {name} − ReLU | {text} | {word} |")
    found = (
        f"활성화 함수의 차이가 드러난 설정은 {', '.join(shown)}이다."
        if shown
        else "찾아본 설정 가운데 활성화 함수의 차이가 드러난 것은 없다."
    )
    return "시드별로 짝지은 차이는 다음과 같다.\n\n" + "\n".join(lines) + "\n\n" + found


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
