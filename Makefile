# Every target builds .venv by itself. PYTHON chooses the interpreter (3.11 to 3.13).
PYTHON ?= python3
PY := .venv/bin/python
SHELL := /bin/sh
# LC_ALL=C keeps Python from choosing UTF-8, and in a folder with Korean letters from starting at all.
unexport LC_ALL

.PHONY: help report test notebooks html pdf study bench grade colab torture clean

help:
	@echo "make report     두 노트북을 실행해 reports/*.html 보고서를 만든다"
	@echo "make test       코드 검사와 모든 테스트"
	@echo "make notebooks  커밋된 노트북을 제자리에서 다시 실행한다"
	@echo "make html       노트북을 실행하지 않고 HTML로 바꾼다"
	@echo "make pdf        HTML 보고서를 PDF로 인쇄한다 (Chromium 필요)"
	@echo "make study      시드 연구: data/study.csv에 없는 학습만 한다 (ARGS='--scheduler 주소')"
	@echo "make grade      두 노트북을 깨끗한 커널에서 다시 실행해 채점한다"
	@echo "make colab      dist/에 업로드만 하면 되는 단일 파일 노트북을 만든다"
	@echo "make bench      속도 측정: benchmarks/results.json"
	@echo "make torture    무작위 입력 2만 개, 강제 종료, 다른 환경, 변이로 시험한다"
	@echo "make clean      가상 환경과 만든 보고서를 지운다"

.venv/.installed: requirements.txt constraints.txt pyproject.toml
	$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

report html pdf notebooks: .venv/.installed
	$(PY) -m mnist_mlp.report $@

test: .venv/.installed
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m pytest -n 2 --dist loadgroup

study: .venv/.installed
	$(PY) -m mnist_mlp.study $(ARGS)

grade: .venv/.installed
	$(PY) -m mnist_mlp.grading $(ARGS)

colab: .venv/.installed
	$(PY) -m mnist_mlp.colab

bench: .venv/.installed
	$(PY) -m benchmarks.training
	$(PY) -m benchmarks.scaling

torture: .venv/.installed
	$(PY) tests/reliability.py $(ARGS)

clean:
	rm -rf .venv reports dist
