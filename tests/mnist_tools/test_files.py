"""Files are replaced whole or not at all."""

from pathlib import Path

import pytest

from mnist_tools.files import ReportError, replace_section, write_atomically


def test_interrupted_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notebook.ipynb"
    write_atomically(path, "old")

    def half(self: Path, text: str, encoding: str) -> None:
        self.write_bytes(text[: len(text) // 2].encode(encoding))
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new text")
    assert path.read_bytes() == b"old"


def test_a_section_is_replaced_between_its_markers_and_must_be_there_once(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("a\n<!-- x -->\nold\n<!-- /x -->\nb\n", encoding="utf-8")
    replace_section(path, "x", r"\1 new")  # text, not a pattern
    assert path.read_text(encoding="utf-8") == "a\n<!-- x -->\n\\1 new\n<!-- /x -->\nb\n"
    with pytest.raises(ReportError, match="<!-- y -->"):
        replace_section(path, "y", "new")
