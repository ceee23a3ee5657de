"""The command of PQ maps: its regions on paper and on disk, and what it refuses."""

import json

import pytest
from click.testing import CliRunner

import gridclear as gc
from gridclear.case.window import window
from gridclear.cli import main
from gridclear.io.results import read_result
from oracle.small_areas import small_area

BOTH = 3  # seed of a case with two connection points
QUICKLY = ("--points", 2, "--threads", 1)


@pytest.fixture(scope="module")
def meshed(tmp_path_factory):
    """One period of a small case, and the names of its connection points."""
    case = window(small_area(BOTH), 0, 1)
    folder = tmp_path_factory.mktemp("cases") / "meshed"
    gc.write_case(case, folder)
    return folder, case.connection_points["connection_point"].tolist()


def run(*arguments):
    return CliRunner().invoke(main, ["pq-map", *(str(argument) for argument in arguments)])


def test_regions_are_written_and_shown(meshed, tmp_path):
    folder, (one, other) = meshed
    options = ("--connection-point", one, "--area", "--joint", one, other, "--lattice", 1)
    done = run(folder, *options, *QUICKLY, "-o", tmp_path, "--json")
    assert done.exit_code == 0, done.output
    result = read_result(tmp_path)
    assert result.status == json.loads(done.stdout)["status"] == "mapped"
    assert set(result.tables) == {
        "ranges", "costs", "gaps", "dispatch", "regions", "area", "lattice", "joint", "region_dispatch",
    }  # fmt: skip
    asked = result.provenance["options"]
    assert (asked["area"], asked["joint"], asked["lattice"]) == (True, [one, other], 1)
    assert set(result.tables["area"]["connection_point"]) == {one}
    assert len(result.tables["lattice"]) == 1
    joint = result.tables["joint"]
    assert set(joint["other_point"]) == {other}
    assert (joint["place"] == "boundary").sum() >= 3
    shown = done.stderr.splitlines()
    assert any("P and Q" in line and "1 of 1" in line and "MW·Mvar" in line for line in shown)
    assert any(f"Q and Q of {other}" in line and "Mvar²" in line for line in shown)


def test_without_regions_none_is_shown(meshed, tmp_path):
    folder, (one, _) = meshed
    done = run(folder, "--connection-point", one, *QUICKLY, "-o", tmp_path)
    assert done.exit_code == 0, done.output
    assert set(read_result(tmp_path).tables) == {"ranges", "costs", "gaps", "dispatch"}
    assert "Regions" not in done.stderr


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (
            ("--joint", "{one}", "{one}"),
            "joint is {one}, {one}; it must be two different ones of {one}, {other}",
        ),
        (("--joint", "{one}", "nowhere"), "joint is {one}, nowhere; it must be two different ones"),
        (("--area", "--lattice", "0"), "lattice is 0; it must be at least 1"),
        (("--area", "--lattice", "many"), "'many' is not a valid integer"),
    ],
)
def test_wrong_regions_are_a_fault_of_usage(meshed, tmp_path, options, what):
    folder, (one, other) = meshed
    named = {"one": one, "other": other}
    done = run(folder, *(option.format(**named) for option in options), "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert what.format(**named) in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()
