"""The command line: exit codes, what goes to which stream, and nothing left behind."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pandapower as pp
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import gridclear
from gridclear.cli import main
from gridclear.errors import CaseError, Issue, OptionError
from gridclear.io import shipped
from gridclear.io.results import read_result, write_result
from gridclear.report.session import TITLES

START = "2026-06-21T11:00:00Z"
TOML = f"""
[case]
name = "village"
grid = "grid.json"
start = {START}
resolution = "PT15M"
periods = 2
"""
_TLQ_FILES = (
    "constraints.csv", "costs.csv", "devices.csv", "lights.csv", "result.json", "violations.csv",
)  # fmt: skip
BIDS = """\
bid,element_type,element,start,direction,p_mw,price_eur_mwh
007,sgen,roof,2026-06-21T11:00:00Z,up,0.2,40
007,sgen,roof,2026-06-21T11:15:00Z,up,8.0,41
NA,load,mill,2026-06-21T11:00:00Z,down,0.1,90
"""


@pytest.fixture(scope="module")
def village(tmp_path_factory) -> Path:
    """A case folder with two buses, a line of 4.8 MVA and three bids, one of them too much for the line."""
    folder = tmp_path_factory.mktemp("cases") / "village"
    folder.mkdir()
    net = pp.create_empty_network()
    station, end = (pp.create_bus(net, vn_kv=20.0, name=name) for name in ("station", "end"))
    pp.create_ext_grid(net, station, name="transmission")
    pp.create_line_from_parameters(
        net,
        station,
        end,
        name="cable",
        length_km=1.0,
        r_ohm_per_km=0.2,
        x_ohm_per_km=0.1,
        c_nf_per_km=200.0,
        max_i_ka=0.14,
    )
    pp.create_load(net, end, p_mw=0.5, q_mvar=0.1, name="mill")
    pp.create_sgen(net, end, p_mw=0.3, name="roof")
    (folder / "grid.json").write_text(pp.to_json(net), encoding="utf-8")
    (folder / "case.toml").write_text(TOML, encoding="utf-8")
    (folder / "active_bids.csv").write_text(BIDS, encoding="utf-8")
    return folder


@pytest.fixture
def broken(village, tmp_path) -> Path:
    """The village with three faults in two files."""
    folder = Path(shutil.copytree(village, tmp_path / "broken"))
    bids = BIDS.replace("roof,2026-06-21T11:15", "rooof,2026-06-21T11:15").replace("down,0.1", "down,much")
    (folder / "active_bids.csv").write_text(bids, encoding="utf-8")
    (folder / "forecast.csv").write_text(f"element_type,element,start\nload,mill,{START}\n", encoding="utf-8")
    return folder


@dataclass
class FakeResult:
    """A qualification that has not got everything."""

    status: str = "partial"
    complete: bool = False
    nested: dict[str, object] = field(default_factory=dict)
    provenance: dict[str, object] = field(default_factory=dict)
    fault: OSError | None = None
    devices: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame({"start": [], "element_type": [], "element": [], "position": []})
    )
    violations: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(
            {
                "start": [pd.Timestamp(START)],
                "kind": ["no-solution"],
                "element_type": ["grid"],
                "element": ["village"],
                "value": [float("nan")],
                "limit": [float("nan")],
            }
        )
    )
    costs: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["each_mw", "accepted_mw", "cost_mw"], dtype=float)
    )
    lights: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(
            {
                "start": [pd.Timestamp(START)],
                "bid": ["B"],
                "light": ["red"],
                "offered_mw": [1.0],
                "accepted_mw": [0.0],
                "price_eur_mwh": [1.0],
                "kind": ["no-solution"],
                "element_type": [""],
                "element": [""],
                "value": [float("nan")],
                "limit": [float("nan")],
                "value_at_full": [float("nan")],
                "reason": ["the power flow has no solution"],
            }
        )
    )

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        return {"lights": self.lights, "devices": self.devices, "violations": self.violations}

    def write(self, folder: Path, format: str) -> None:
        if self.fault:
            raise self.fault
        write_result(folder, self.tables, self.status, {}, format)


@pytest.fixture
def run(tmp_path, monkeypatch) -> Callable[..., Result]:
    """Run the command line in an empty folder; a fault of ours fails the test as an exception."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)

    def call(*arguments: object) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def strict_json(text: str) -> dict[str, object]:
    def refuse(constant: str) -> object:
        raise AssertionError(constant)

    data = json.loads(text, parse_constant=refuse)
    assert isinstance(data, dict)
    return data


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_check_of_a_right_case(run, village):
    result = run("check", village)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no issues" in result.stderr
    assert strict_json(run("check", village, "--json").stdout) == {"status": "no-issues", "issues": []}


def test_check_lists_every_fault(run, broken):
    result = run("check", broken)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "active_bids.csv:3 [element]" in result.stderr
    assert "rooof" in result.stderr
    assert "active_bids.csv:4 [p_mw]" in result.stderr
    assert re.search(r"forecast\.csv.*p_mw", result.stderr)

    result = run("check", broken, "--json")
    issues = strict_json(result.stdout)["issues"]
    assert result.exit_code == 1
    assert {"file", "row", "column", "what", "expected"} == set(issues[0])
    assert ("active_bids.csv", "4", "p_mw") in [
        (issue["file"], issue["row"], issue["column"]) for issue in issues
    ]
    assert len(issues) == len(gridclear.check_case(broken))


@pytest.mark.parametrize("command", ["flow", "tlq"])
def test_wrong_case_is_listed_and_nothing_written(run, broken, command):
    result = run(command, broken, "-o", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "active_bids.csv:4 [p_mw]" in result.stderr
    assert not Path("out").exists()
    result = run(command, broken, "--json")
    assert result.exit_code == 1
    assert strict_json(result.stdout)["status"] == "case-error"
    assert files_in(Path()) == []


def test_flow_writes_its_tables(run, village):
    result = run("flow", village)
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    names = ["branches.csv", "buses.csv", "devices.csv", "exchange.csv", "result.json", "violations.csv"]
    assert files_in(Path("result/flow")) == names
    buses = read_result("result/flow").tables["buses"]
    assert list(buses.columns) == ["start", "bus", "vm_pu", "va_degree"]
    assert len(buses) == 4
    assert "lowest voltage" in result.stderr


def test_tlq_writes_lights_and_shows_why(run, village):
    result = run("tlq", village)
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    assert files_in(Path()) == [f"result/tlq/{name}" for name in _TLQ_FILES]
    lights = read_result("result/tlq").tables["lights"]
    assert lights["bid"].tolist() == ["007", "007", "NA"]
    assert lights["light"].tolist() == ["green", "yellow", "green"]
    assert "overload line 'cable'" in result.stderr
    assert re.search(r"^007  G Y$", result.stderr, re.MULTILINE)
    assert "\x1b" not in result.stderr


def test_json_goes_to_standard_output_and_no_file_appears(run, village):
    result = run("tlq", village, "--json")
    assert result.exit_code == 0, result.stderr
    data = strict_json(result.stdout)
    assert [row["bid"] for row in data["lights"]] == ["007", "007", "NA"]
    assert data["lights"][0]["start"] == START
    assert data["status"] == "qualified"
    assert set(strict_json(run("flow", village, "--json").stdout)) >= {
        "buses",
        "branches",
        "exchange",
        "violations",
    }
    assert files_in(Path()) == []


def test_json_and_folder_together(run, village):
    result = run("tlq", village, "--json", "-o", "out", "--format", "parquet")
    assert result.exit_code == 0, result.stderr
    assert len(strict_json(result.stdout)["lights"]) == 3
    assert files_in(Path("out")) == [name.replace("csv", "parquet") for name in _TLQ_FILES]


@pytest.mark.parametrize(
    "arguments",
    [
        ["tlq"],
        ["tlq", "nowhere"],
        ["tlq", "{case}", "--guarantee", "some"],
        ["tlq", "{case}", "--guarantee", "any-subset", "--allotment", "some"],
        ["tlq", "{case}", "--threads", "0"],
        ["tlq", "{case}", "-o", "{case}/case.toml"],
        ["tlq", "{case}", "-o", "{case}/../village"],
        ["flow", "{case}", "--format", "xlsx"],
        ["flows", "{case}"],
    ],
)
def test_wrong_usage_is_exit_2(run, village, arguments):
    result = run(*(argument.format(case=village) for argument in arguments))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert files_in(Path()) == []


@pytest.mark.parametrize(("job", "table"), [("prequalify", "products"), ("envelopes", "envelopes")])
def test_products_and_envelopes_are_shown_written_and_printed(run, village, job, table):
    result = run(job, village, "--p-max-mw", "9", "-o", "out", "--json")
    assert result.exit_code == 0, result.stderr
    assert "overload" in result.stderr
    assert "line 'cable'" in result.stderr
    stored, printed = read_result("out"), strict_json(result.stdout)
    assert len(stored.tables[table]) == len(printed[table]) > 0
    assert stored.provenance["options"]["p_max_mw"] == printed["provenance"]["options"]["p_max_mw"] == 9.0
    assert set(stored.tables[table]["element"]) == {"mill", "roof"}


@pytest.mark.parametrize("job", ["prequalify", "envelopes"])
def test_amount_that_is_none_is_wrong_usage(run, village, job):
    result = run(job, village, "--p-max-mw", "-1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "p_max_mw is -1.0; it must be a number of MW above 0" in result.stderr
    assert files_in(Path()) == []


def test_incomplete_answer_is_written_and_exit_3(run, village, monkeypatch):
    monkeypatch.setattr(gridclear, "qualify", lambda *_args, **_options: FakeResult())
    result = run("tlq", village, "-o", "out", "--json")
    assert result.exit_code == 3
    assert strict_json(result.stdout)["lights"][0]["value"] is None
    assert "partial" in result.stderr
    assert read_result("out").status == "partial"


def test_folder_that_cannot_be_written_is_named(run, village, monkeypatch):
    fault = PermissionError(13, "Permission denied")
    monkeypatch.setattr(gridclear, "qualify", lambda *_args, **_options: FakeResult(fault=fault))
    result = run("tlq", village, "-o", "out")
    assert result.exit_code == 2
    assert "cannot write to 'out': Permission denied" in result.stderr


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (CaseError((Issue("active_bids", "", "", "no table", "bids"),)), 1),
        (OptionError("not that"), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_faults_of_a_job_have_their_exit_code(run, village, monkeypatch, fault, code):
    def fail(*_args: object, **_options: object) -> None:
        raise fault

    monkeypatch.setattr(gridclear, "power_flow", fail)
    assert run("flow", village).exit_code == code
    assert files_in(Path()) == []


def test_fault_of_ours_is_not_hidden(run, village, monkeypatch):
    def fail(*_args: object, **_options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(gridclear, "power_flow", fail)
    with pytest.raises(ZeroDivisionError):
        run("flow", village)


def test_demo_shows_every_job(run):
    result = run("demo", "-o", "shown")
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    steps = ["$ gridclear check", "$ gridclear session", *TITLES.values(), "all of it on one page"]
    positions = [result.stderr.index(step) for step in steps]
    assert positions == sorted(positions)
    written = set(files_in(Path()))
    assert {f"shown/{job}/result.json" for job in TITLES} | {"shown/report.html"} <= written
    assert read_result("shown").status == "complete"
    lights = read_result("shown/tlq").tables["lights"]
    assert set(lights["light"]) == {"green", "yellow", "red"}


def test_shipped_case_is_found_where_a_wheel_has_put_it(tmp_path, monkeypatch):
    folder = tmp_path / "share" / "gridclear" / "grids" / "mv-rural"
    folder.mkdir(parents=True)
    (folder / "case.toml").touch()
    installed = metadata.PackagePath("../../../share/gridclear/grids/mv-rural/case.toml")
    installed.dist = SimpleNamespace(
        locate_file=lambda path: tmp_path / "lib" / "python" / "site-packages" / path
    )
    monkeypatch.setattr(
        shipped, "__file__", str(tmp_path / "lib" / "python" / "site-packages" / "x" / "io" / "s.py")
    )
    monkeypatch.setattr(shipped.metadata, "files", lambda _name: [installed])
    assert shipped.shipped_case("mv-rural") == folder
    with pytest.raises(OptionError, match="no case 'elsewhere'"):
        shipped.shipped_case("elsewhere")


def test_as_a_process_a_wrong_case_gives_no_traceback(broken, tmp_path):
    command = [sys.executable, "-m", "gridclear", "tlq", str(broken), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == 1
    assert strict_json(done.stdout)["status"] == "case-error"
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "result").exists()


def test_as_a_process_the_streams_are_apart(village, tmp_path):
    command = [sys.executable, "-m", "gridclear", "tlq", str(village), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(strict_json(done.stdout)["lights"]) == 3
    assert "Lights" in done.stderr
