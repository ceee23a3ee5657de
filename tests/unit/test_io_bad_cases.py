"""The corpus of bad cases: each fault is reported where it stands, and nothing else is."""

from __future__ import annotations

import tomllib

import case_support as support
import pytest

from gridclear.io import check_case

CORPUS = tomllib.loads((support.BASE.parent / "corpus.toml").read_text(encoding="utf-8"))["fault"]
EDITS = {
    "file",
    "line",
    "old",
    "new",
    "drop_line",
    "swap_lines",
    "append",
    "text",
    "delete",
    "grid",
    "name",
    "expect",
}


def broken_files(fault):
    """The files of the good case with one fault in them."""
    assert set(fault) <= EDITS, "a misspelt key would test nothing"
    files = support.base_files()
    if "file" in fault:
        _edit_file(files, fault)
    if "grid" in fault:
        files["grid.json"] = support.edit_grid(files["grid.json"], fault["grid"])
    return files


def _edit_file(files, fault):
    name = fault["file"]
    if "text" in fault:
        files[name] = fault["text"]
    elif fault.get("delete"):
        del files[name]
    elif "append" in fault:
        files[name] += fault["append"]
    else:
        lines = files[name].splitlines(keepends=True)
        if "drop_line" in fault:
            del lines[fault["drop_line"] - 1]
        elif "swap_lines" in fault:
            one, other = (number - 1 for number in fault["swap_lines"])
            lines[one], lines[other] = lines[other], lines[one]
        else:
            places = [fault["line"] - 1] if "line" in fault else range(len(lines))
            assert any(fault["old"] in lines[place] for place in places), "the edit changes nothing"
            for place in places:
                lines[place] = lines[place].replace(fault["old"], fault["new"], 1)
        files[name] = "".join(lines)


def show(issues):
    return "\n".join(str(issue) for issue in issues)


@pytest.mark.parametrize("fault", CORPUS, ids=[fault["name"] for fault in CORPUS])
def test_fault_is_reported_where_it_stands(fault, tmp_path):
    folder = support.write_files(tmp_path / "case", broken_files(fault))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    issues = check_case(folder)
    assert [(i.file, i.row, i.column) for i in issues] == [tuple(e[:3]) for e in fault["expect"]], show(
        issues
    )
    for issue, (_, _, _, fragment) in zip(issues, fault["expect"], strict=True):
        assert fragment in issue.what, str(issue)
        assert issue.expected
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_names_in_the_corpus_are_unique():
    names = [fault["name"] for fault in CORPUS]
    assert len(set(names)) == len(names) >= 60
