# Every target builds .venv by itself. PYTHON chooses the interpreter (3.11 to 3.13).
PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# On PyPI the PyTorch for Linux is the one with gigabytes of CUDA: take it from the CPU index alone.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
SHELL := /bin/sh
# LC_ALL=C keeps Python from choosing UTF-8, and in a folder with Korean letters from starting at all.
unexport LC_ALL

.NOTPARALLEL:  # one pip at a time
.PHONY: help report check test test-all test-colab notebooks html pdf study grade readme colab bench clean

help:
	@echo "make report     두 노트북을 실행해 reports/*.html 보고서를 만든다 (ONLY=01: PyTorch 없이 01번만)"
	@echo "make check      코드 검사, 타입, 빠른 테스트 (고칠 때마다)"
	@echo "make test       코드 검사와 테스트 (몇 분)"
	@echo "make test-all   오래 걸리는 테스트까지 모두 (무작위 입력, 강제 종료, 낯선 환경)"
	@echo "make test-colab Colab의 패키지 버전으로 01번 노트북을 처음부터 끝까지 (python3.13 필요)"
	@echo "make notebooks  커밋된 노트북을 제자리에서 다시 실행한다"
	@echo "make html       노트북을 실행하지 않고 HTML로 바꾼다"
	@echo "make pdf        HTML 보고서를 PDF로 인쇄한다 (Chromium 필요)"
	@echo "make study      시드 반복 실험: data/study.jsonl에 없는 학습만 한다 (ARGS='--scheduler 주소')"
	@echo "make grade      두 노트북을 깨끗한 커널에서 다시 실행해 채점한다 (ARGS=제출물)"
	@echo "make readme     README의 그림과 표를 저장된 결과로 다시 만든다"
	@echo "make colab      dist/에 업로드만 하면 되는 단일 파일 노트북을 만든다"
	@echo "make bench      속도를 재서 benchmarks/README.md를 고쳐 쓴다"
	@echo "make clean      가상 환경과 만든 보고서를 지운다"

# What everything needs; what it is left out of by ONLY=01; what only tests and benchmarks need.
.venv/.report: requirements.txt constraints.txt pyproject.toml
	@$(PY) -c "$(SUPPORTED)" 2>/dev/null && $(PY) -m pip --version >/dev/null 2>&1 || { \
	    $(PYTHON) -c "$(SUPPORTED)" 2>/dev/null || { \
	        echo "Python 3.11, 3.12, 3.13 가운데 하나가 필요하니($(PYTHON)은" \
	            "`$(PYTHON) --version 2>&1 | head -n 1`) make PYTHON=python3.12처럼 고르십시오."; \
	        exit 1; }; \
	    $(PYTHON) -m venv --clear .venv; }
	@echo "설치: NumPy, matplotlib, Jupyter 등 보고서에 필요한 패키지를 .venv에 받습니다(약 150 MB)."
	@$(PIP) -e ".[report]"
	@touch $@

.venv/.torch: .venv/.report
	@echo "설치: PyTorch를 $(TORCH_INDEX) 에서 받습니다(CPU용은 약 200 MB)."
	@$(PIP) --no-deps --index-url $(TORCH_INDEX) torch || { \
	    echo "PyTorch를 받지 못했으니 TORCH_INDEX=주소로 다른 곳을 고르거나" \
	        "make report ONLY=01로 01번 노트북만 만드십시오."; exit 1; }
	@$(PIP) -e ".[report,torch]"
	@touch $@

.venv/.dev: .venv/.report
	@echo "설치: 테스트와 코드 검사에 필요한 패키지를 .venv에 받습니다(약 180 MB)."
	@$(PIP) -e ".[report,dev]"
	@touch $@

report html pdf notebooks: .venv/.report $(if $(filter 01,$(ONLY)),,.venv/.torch)
	@$(PY) -m mnist_tools.report $@ $(if $(ONLY),--only $(ONLY))

check: .venv/.torch .venv/.dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) -m pytest tests/mnist_mlp -k "not download and not study and not data"

test: .venv/.torch .venv/.dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m pytest -n 2 --dist loadscope

test-all: .venv/.torch .venv/.dev
	$(PY) -m pytest -n 2 --dist loadscope -m ""

test-colab: .venv/.dev
	$(PY) -m pytest -m "" -k colab tests/notebooks/test_environments.py

study: .venv/.torch
	$(PY) -m mnist_tools.run_study $(ARGS)

grade: .venv/.torch
	$(PY) -m mnist_tools.grade $(ARGS)

readme: .venv/.report
	$(PY) -m mnist_tools.readme

colab: .venv/.report
	$(PY) -m mnist_tools.colab

bench: .venv/.torch .venv/.dev
	$(PY) -m benchmarks.training

clean:
	rm -rf .venv reports dist
