"""What the pages say is what the code does."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gridclear.cli import main

ROOT = Path(__file__).parents[2]


def blocks(language: str, page: str = "README.md") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def test_python_example_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    (example,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102
    printed = capsys.readouterr().out
    assert re.search(r"wind +(yellow|red)", printed)
    assert (tmp_path / "result" / "wind-and-sun" / "lights.csv").is_file()


def test_python_examples_of_the_page_on_power_flows_run(tmp_path, monkeypatch, capsys):
    first, on_disk = blocks("python", "docs/power-flow.md")
    names: dict[str, object] = {}
    exec(compile(first, "power-flow.md", "exec"), names)  # noqa: S102
    assert capsys.readouterr().out.startswith("solved Constraint(kind='overload'")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "result" / "year").mkdir(parents=True)
    zeros = np.zeros((3, names["network"].n_bus))
    names |= {"count": 3, "p_mw": zeros, "q_mvar": zeros}
    exec(compile(on_disk, "power-flow.md", "exec"), names)  # noqa: S102
    assert np.load("result/year/vm_pu.npy").shape == zeros.shape


def test_python_example_of_the_page_on_clearing_runs(monkeypatch, capsys):
    (example,) = blocks("python", "docs/clearing.md")
    monkeypatch.chdir(ROOT)
    exec(compile(example, "clearing.md", "exec"), {})  # noqa: S102
    assert re.fullmatch(r"(confirmed|optimal) 89\.[67]\nclosest\n", capsys.readouterr().out)


def test_readme_has_exactly_two_commands_to_set_up():
    (commands,) = blocks("sh")
    assert re.findall(r"^make \w+", commands, re.MULTILINE) == ["make demo", "make test"]


@pytest.mark.parametrize(
    "command",
    [
        "check",
        "flow",
        "tlq",
        "prequalify",
        "envelopes",
        "activate",
        "clear",
        "settle",
        "session",
        "roll",
        "watch",
        "demo",
    ],
)
def test_readme_names_every_option(command):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"gridclear {command}" in text
    shown = CliRunner().invoke(main, [command, "--help"]).output
    options = set(re.findall(r"^  (?:-\w, )?(--[a-z]+)", shown, re.MULTILINE)) - {"--help", "--out"}
    assert options <= set(re.findall(r"--[a-z]+", text))


def test_page_on_the_case_folder_is_in_step():
    update = runpy.run_path(str(ROOT / "docs" / "update.py"))
    page = (ROOT / "docs" / "case-folder.md").read_text(encoding="utf-8")
    assert page == update["up_to_date"](page), "run: make docs"


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/clearing.md",
        "docs/lights.md",
        "docs/market.md",
        "docs/power-flow.md",
        "docs/products.md",
        "docs/results.md",
    ],
)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()] == []
