"""Case folders: written and read back; many faults at once; nothing in it may raise."""

from __future__ import annotations

import sys
from dataclasses import replace

import case_support as support
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridclear.case import Case, Prices, SettlementTerms
from gridclear.case.check import sorted_issues
from gridclear.case.schema import TABLES
from gridclear.errors import CaseError, Issue, OptionError
from gridclear.io import check_case, read_case, write_case


@pytest.fixture
def case(tmp_path):
    return read_case(support.write_files(tmp_path / "source", support.base_files()))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(one, other):
    for name in TABLES:
        pd.testing.assert_frame_equal(one.table(name), other.table(name), check_exact=True)
    for name, frame in one.grid.tables.items():
        pd.testing.assert_frame_equal(other.grid.tables[name], frame, check_exact=True)
    assert (one.name, one.horizon, one.limits) == (other.name, other.horizon, other.limits)
    assert (one.prices, one.settlement) == (other.prices, other.settlement)
    assert one.content_hash == other.content_hash


def test_good_case(case):
    assert case.name == "tiny"
    assert case.horizon.periods == 4
    assert case.active_bids["bid"].tolist() == ["007", "007", "NA", "B3", "B4"]
    assert case.active_bids["element"].tolist() == ["PV1", "PV1", "L1", "", "S1"]
    assert case.forecast["p_mw"].iloc[:4].tolist() == [2.0, 2.1, 2.2, 2.3]
    assert np.isnan(case.forecast["q_mvar"].iloc[-1])
    assert case.connection_points["connection_point"].tolist() == ["CP1"]


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_case_reads_back_exactly(case, tmp_path, format_):
    write_case(case, tmp_path / "new" / "folder", format=format_)
    assert check_case(tmp_path / "new" / "folder") == []
    same(read_case(tmp_path / "new" / "folder"), case)


def test_prices_read_back_exactly_and_are_part_of_the_hash(case, tmp_path):
    priced = replace(case, prices=Prices(losses_eur_mwh=61.7))
    write_case(priced, tmp_path / "priced")
    same(read_case(tmp_path / "priced"), priced)
    assert (case.prices, priced.content_hash == case.content_hash) == (Prices(0.0), False)


def test_terms_of_the_settlement_read_back_exactly_and_are_part_of_the_hash(case, tmp_path):
    terms = SettlementTerms("pay-as-clear", 7, 80.5, 0.1)
    agreed = replace(case, settlement=terms)
    write_case(agreed, tmp_path / "agreed")
    same(read_case(tmp_path / "agreed"), agreed)
    assert (case.settlement, agreed.content_hash == case.content_hash) == (SettlementTerms(), False)


def test_numbers_and_names_read_back_exactly(tmp_path):
    net = support.tiny_net()
    net.name = 'a "name"\\ with\tsigns ☃\x7f'
    net.load.loc[0, "name"] = 'L, "1"\nü'
    starts = pd.date_range("2016-06-19T10:00Z", periods=3, freq="5min")
    forecast = pd.DataFrame(
        {"element_type": "load", "element": 'L, "1"\nü', "start": starts, "p_mw": [0.1 + 0.2, 1 / 3, 5e-324]}
    )
    case = Case.from_pandapower(net, name=net.name, resolution="PT5M", forecast=forecast)
    for format_ in ("csv", "parquet"):
        write_case(case, tmp_path, format=format_)
        same(read_case(tmp_path), case)


def test_old_tables_go_and_other_files_stay(case, tmp_path):
    folder = tmp_path / "c"
    write_case(case, folder, format="parquet")
    (folder / "LICENSE").write_text("mine")
    smaller = Case.from_pandapower(support.tiny_net(), start=case.horizon.start, periods=4)
    write_case(smaller, folder)
    assert sorted(contents(folder)) == ["LICENSE", "case.toml", "connection_points.csv", "grid.json"]
    assert read_case(folder).active_bids.empty


def test_failed_write_changes_nothing(case, tmp_path, monkeypatch):
    folder = tmp_path / "c"
    write_case(case, folder)
    before = contents(folder)
    with pytest.raises(OptionError, match="'csv' or 'parquet'"):
        write_case(case, folder, format="xlsx")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_case(case, folder)
    assert contents(folder) == before


@pytest.mark.parametrize(
    "make",
    [lambda p: p / "none", lambda p: p / "file", lambda p: p / ("x" * 300)],
    ids=["none", "file", "long"],
)
def test_what_is_no_folder(make, tmp_path):
    (tmp_path / "file").write_text("")
    issues = check_case(make(tmp_path))
    assert [(i.file, i.expected) for i in issues] == [("case.toml", "a case folder")]
    assert [(i.file, i.what) for i in check_case(support.write_files(tmp_path / "empty", {}))] == [
        ("case.toml", "the file is missing")
    ]


def test_all_faults_are_listed_at_once(tmp_path):
    files = support.base_files()
    files["case.toml"] = files["case.toml"].replace("vm_min_pu = 0.95", "vm_min_pu = -1").replace("tiny", "")
    files["forecast.csv"] = (
        files["forecast.csv"]
        .replace("p_mw", "p", 1)
        .replace("L2,2016-06-19T10:15:00Z", "L9,2016-06-19T10:16:00Z")
    )
    files["active_bids.csv"] = (
        files["active_bids.csv"].replace("down,1.5,40", "Down,x,inf").replace("NA,load,L1", "NA,load,L3")
    )
    files["tap_changers.csv"] = files["tap_changers.csv"].replace("T2,automatic,0", "T2,automatic,12")
    files["outages.csv"] += "line,K45\n"
    files["storage.csv"] = files["storage.csv"].replace("efficiency_charge", "efficency_charge")
    files["active_need.csv"] = "start;direction;p_mw\n"
    files["demand.csv"] = "a\n"
    edits = [
        ("trafo", "T1", "tap_changer_type", "NaN"),
        ("line", "K13", "max_i_ka", 0.0),
        ("line", "K13", "to_bus", 0),
        ("bus", "N5", "vn_kv", 10.0),
        ("sgen", "W1", "scaling", "NaN"),
    ]
    files["grid.json"] = support.edit_grid(files["grid.json"], edits)
    issues = check_case(support.write_files(tmp_path / "c", files))
    assert [(i.file, i.row, i.column) for i in issues] == [
        ("active_bids.csv", "2", "direction"),
        ("active_bids.csv", "2", "p_mw"),
        ("active_bids.csv", "2", "price_eur_mwh"),
        ("active_bids.csv", "4", "element"),
        ("active_need.csv", "1", ""),
        ("case.toml", "2", "name"),
        ("case.toml", "9", "vm_min_pu"),
        ("demand.csv", "", ""),
        ("forecast.csv", "", "p"),
        ("forecast.csv", "", "p_mw"),
        ("forecast.csv", "7", "element"),
        ("forecast.csv", "7", "start"),
        ("forecast.csv", "8", "start"),
        ("grid.json", "bus 'N3'", ""),
        ("grid.json", "bus 'N4'", ""),
        ("grid.json", "bus 'N5'", ""),
        ("grid.json", "line 'K13'", "max_i_ka"),
        ("grid.json", "line 'K13'", "to_bus"),
        ("grid.json", "line 'K25'", "to_bus"),
        ("grid.json", "line 'K45'", "to_bus"),
        ("grid.json", "sgen 'W1'", "scaling"),
        ("grid.json", "trafo 'T1'", "tap_changer_type"),
        ("outages.csv", "4", ""),
        ("storage.csv", "", "efficency_charge"),
        ("tap_changers.csv", "3", "position"),
    ], "\n".join(map(str, issues))
    with pytest.raises(CaseError) as caught:
        read_case(tmp_path / "c")
    assert list(caught.value.issues) == issues
    assert str(caught.value).count("\n") == len(issues)


def test_issues_are_in_the_order_of_lines():
    rows = ["10", "9", "", "line 'K10'", "line 'K9'", "line 'K9'"]
    issues = sorted_issues([Issue("f", row, "c", "w", "e") for row in rows])
    assert [issue.row for issue in issues] == ["", "9", "10", "line 'K9'", "line 'K10'"]


NASTY = [
    "",
    ",",
    "\n",
    '"',
    ";",
    "\x00",
    "nan",
    "1e999",
    "-1",
    "é",
    "\ud800",
    "2016",
    "{",
    "[",
    "'",
    "true",
    "null",
    "9" * 400,
    "T1",
    "0",
]


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_combination_of_faults_raises(data, tmp_path):
    files = support.base_files()
    for _ in range(data.draw(st.integers(1, 6))):
        name = data.draw(st.sampled_from(sorted(files)))
        text = files[name]
        start = data.draw(st.integers(0, len(text)))
        stop = min(len(text), start + data.draw(st.sampled_from([0, 1, 1, 2, 5, 30, 400])))
        files[name] = text[:start] + data.draw(st.sampled_from(NASTY)) + text[stop:]
    folder = tmp_path / "fuzz"
    support.write_files(folder, {name: text.encode("utf-8", "surrogatepass") for name, text in files.items()})
    for issue in check_case(folder):
        assert issue.file
        assert issue.what
        assert issue.expected
        assert len(str(issue)) < 2000


def test_simbench_is_asked_by_code(tmp_path, monkeypatch):
    class FakeSimbench:
        @staticmethod
        def collect_all_simbench_codes():
            return ["1-MV-tiny--0-sw"]

        @staticmethod
        def get_simbench_net(code):
            assert code == "1-MV-tiny--0-sw"
            return support.tiny_net()

    files = support.base_files()
    files["case.toml"] = files["case.toml"].replace("grid.json", "simbench:1-MV-tiny--0-sw")
    folder = support.write_files(tmp_path / "c", files)
    monkeypatch.setitem(sys.modules, "simbench", FakeSimbench)
    assert (
        read_case(folder).content_hash
        == read_case(support.write_files(tmp_path / "d", support.base_files())).content_hash
    )
    monkeypatch.setitem(sys.modules, "simbench", None)
    assert [(i.row, i.column, i.what) for i in check_case(folder)] == [
        ("3", "grid", "'simbench:1-MV-tiny--0-sw' needs simbench")
    ]
