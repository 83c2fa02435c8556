# Every target builds .venv by itself. PYTHON chooses the interpreter (3.11 to 3.13).
PYTHON ?= python3
PY := .venv/bin/python
SHELL := /bin/sh
# LC_ALL=C keeps Python from choosing UTF-8, and in a folder with Korean letters from starting at all.
unexport LC_ALL

.PHONY: help report check test test-all notebooks html pdf study grade readme colab bench clean

help:
	@echo "make report     두 노트북을 실행해 reports/*.html 보고서를 만든다"
	@echo "make check      코드 검사, 타입, 빠른 테스트 (고칠 때마다)"
	@echo "make test       코드 검사와 테스트 (몇 분)"
	@echo "make test-all   오래 걸리는 테스트까지 모두 (무작위 입력, 강제 종료, 낯선 환경)"
	@echo "make notebooks  커밋된 노트북을 제자리에서 다시 실행한다"
	@echo "make html       노트북을 실행하지 않고 HTML로 바꾼다"
	@echo "make pdf        HTML 보고서를 PDF로 인쇄한다 (Chromium 필요)"
	@echo "make study      시드 반복 실험: data/study.jsonl에 없는 학습만 한다 (ARGS='--scheduler 주소')"
	@echo "make grade      두 노트북을 깨끗한 커널에서 다시 실행해 채점한다 (ARGS=제출물)"
	@echo "make readme     README의 그림과 표를 저장된 결과로 다시 만든다"
	@echo "make colab      dist/에 업로드만 하면 되는 단일 파일 노트북을 만든다"
	@echo "make bench      속도를 재서 benchmarks/README.md를 고쳐 쓴다"
	@echo "make clean      가상 환경과 만든 보고서를 지운다"

.venv/.installed: requirements.txt constraints.txt pyproject.toml
	$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

report html pdf notebooks: .venv/.installed
	$(PY) -m mnist_tools.report $@

check: .venv/.installed
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest tests/mnist_mlp -k "not download and not study and not data"

test: .venv/.installed
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m pytest -n 2 --dist loadscope

test-all: .venv/.installed
	$(PY) -m pytest -n 2 --dist loadscope -m ""

study: .venv/.installed
	$(PY) -m mnist_tools.run_study $(ARGS)

grade: .venv/.installed
	$(PY) -m mnist_tools.grade $(ARGS)

readme: .venv/.installed
	$(PY) -m mnist_tools.readme

colab: .venv/.installed
	$(PY) -m mnist_tools.colab

bench: .venv/.installed
	$(PY) -m benchmarks.training

clean:
	rm -rf .venv reports dist
