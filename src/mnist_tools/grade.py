"""Re-run both notebooks from clean kernels in a scratch copy of a submission, and score a rubric.

``python -m mnist_tools.grade [REPOSITORY]`` prints a table and writes ``reports/grade.json``. It
exits with 0 for a full score, 1 for less, 2 if nothing could be graded and 130 if interrupted.
What is scored, and how: ``rubric.py``.
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from mnist_tools.compare import CURVE_TOLERANCE, TOLERANCE, study_problems
from mnist_tools.execute import Limits
from mnist_tools.files import NOTEBOOKS, ReportError, prepare, report_folder, write_atomically
from mnist_tools.recount import own_data
from mnist_tools.rerun import LIMITS, SPACE, copy_submission, read_submitted, rerun
from mnist_tools.rubric import Item, judge, problems_of
from mnist_tools.shown import printable

COMPARED = """\
비교: 학습 곡선의 손실이 절반 넘게 마지막 자리까지 재실행과 같으면 같은 컴퓨터로 보고 모든 값과
글과 그림을 그대로 비교한다. 다른 컴퓨터에서는 float32의 반올림이 다르고 학습이 그것을 키우므로
허용 오차로 비교한다: 마지막 정확도는 테스트 {test_accuracy}, 검증 {validation_accuracy},
훈련 {train_accuracy}, 학습 곡선은 에폭마다 손실 {loss}, 정확도 {accuracy}. 그때 글은
(a), (b), (c)의 수치만 비교하고 그림은 비교하지 않는다.\
""".format(**TOLERANCE, **CURVE_TOLERANCE)
NOT_JUDGED = [
    "그림의 내용과 글의 뜻: 재실행과 같은지, 수치가 있는지만 보았다. (a), (b), (c)의 그림과 해설, "
    "결론의 판정이 results 셀의 수치와 맞는지는 사람이 읽어야 한다.",
    "테스트 데이터로 레시피나 멈출 에폭을 골랐는지: 실행 결과만으로는 알 수 없다.",
    "제출한 코드가 채점을 속이는지: 채점에 쓰는 값도 제출한 코드가 도는 커널에서 나온다. "
    "의심스러우면 src/를 읽어야 한다.",
]
NOT_RETRAINED = (
    "무엇으로 학습했는지: 채점기가 다시 학습해 보지 않았다. 테스트 데이터로 학습했거나 곡선을 "
    "꾸며 냈어도 만점일 수 있다(--retrain을 붙이면 확인한다)."
)
RETRAINED = (
    "무엇으로 학습했는지: 다시 학습한 결과와 허용 오차로 비교했다. 시드만 바꾸는 정도의 작은 "
    "차이는 드러나지 않을 수 있다."
)


def grade(repository: Path, limits: Limits, retrain: bool) -> list[Item]:
    """Copy a submission, re-run its notebooks in the copy, and score them."""
    items = []
    with tempfile.TemporaryDirectory(prefix="grading-") as scratch:
        if shutil.disk_usage(scratch).free < SPACE:
            raise ReportError(f"{scratch} has less than {SPACE:,} bytes free; set TMPDIR")
        submitted = {}
        for name in NOTEBOOKS.values():  # before anything of the submission runs
            copy_submission(repository, Path(scratch, name))
            submitted[name] = read_submitted(Path(scratch, name, "notebooks", f"{name}.ipynb"))
        study = list(problems_of(study_problems, Path(scratch, name, "data", "study.jsonl")))
        for kind, name in NOTEBOOKS.items():
            side = again = submitted[name]
            if not side.error:
                print(f"{name}.ipynb를 다시 실행합니다.", flush=True)
                again = rerun(Path(scratch, name), name, side, limits)
                again.data = own_data(again.results)
            items += judge(kind, side, again, limits.seconds if retrain else 0)
    title = "시드 반복 실험이 채점기의 것과 같다"
    return [*items, Item("data/study.jsonl", "study", title, [printable(text) for text in study])]


def table(items: list[Item]) -> str:
    """Return the rubric as text."""
    lines = [f"{'점수':4}{'노트북':18}{'항목':18}내용"]
    for item in items:
        point = "0/1" if item.problems else "1/1"
        lines.append(f"{point:6}{item.notebook:21}{item.key:20}{item.title}")
        lines += [f"{'':8}- {problem}" for problem in item.problems[:3]]
        if len(item.problems) > 3:
            lines.append(f"{'':8}- 그 밖에 {len(item.problems) - 3}가지")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mnist_tools.grade", description=__doc__)
    parser.add_argument("repository", type=Path, nargs="?", default=Path(), help="what to grade")
    parser.add_argument(
        "--timeout", type=int, default=LIMITS.seconds, help="seconds a notebook (600)"
    )
    parser.add_argument("--retrain", action="store_true", help="train as published, and compare")
    parser.add_argument("--json", type=Path, help="the file to write (reports/grade.json)")
    options = parser.parse_args(arguments)
    prepare()
    try:
        file = options.json or report_folder() / "grade.json"
        if file.is_file():  # and no device: no old grade stays if this grading finds no end
            file.unlink()
        if not (options.repository / "notebooks").is_dir():
            raise ReportError(f"{options.repository} has no folder notebooks")
        limits = replace(LIMITS, seconds=options.timeout)
        items = grade(options.repository, limits, options.retrain)
        write(file, options.repository, items, options.retrain)
    except Exception as error:  # trouble of our own: what a submission does is caught before
        print(f"{type(error).__name__}: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("채점을 중단했습니다.", file=sys.stderr)
        return 130
    return int(any(item.problems for item in items))


def write(file: Path, repository: Path, items: list[Item], retrain: bool) -> None:
    """Print a grade, then write it as JSON."""
    not_judged = [RETRAINED if retrain else NOT_RETRAINED, *NOT_JUDGED]
    score = sum(not item.problems for item in items)
    print(f"{table(items)}\n\n{COMPARED}\n\n만점이어도 채점하지 않은 것:")
    print(*(f"- {text}" for text in not_judged), sep="\n")
    print(f"\n합계 {score}/{len(items)}", flush=True)
    report = {
        "submission": str(repository.resolve()),
        "score": score,
        "full": len(items),
        "items": [asdict(item) for item in items],
        "not_judged": not_judged,
    }
    write_atomically(file, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    print(f"점수표: {file}")


if __name__ == "__main__":
    sys.exit(main())
