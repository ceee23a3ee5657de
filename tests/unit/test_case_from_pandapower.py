"""A case of a net and DataFrames."""

from __future__ import annotations

import dataclasses
import pickle

import case_support as support
import numpy as np
import pandapower as pp
import pandapower.networks as networks
import pandas as pd
import pytest

from gridclear.case import Case, Limits, Prices, SettlementTerms
from gridclear.case.schema import TABLES
from gridclear.errors import CaseError
from gridclear.io import read_case

STARTS = pd.date_range("2016-06-19T10:00Z", periods=4, freq="15min")


def bids_for(elements, starts=STARTS, direction="down"):
    rows = [
        (f"B{n}", "sgen", name, start, direction, 0.01, 40.0)
        for n, name in enumerate(elements)
        for start in starts
    ]
    return pd.DataFrame(
        rows, columns=["bid", "element_type", "element", "start", "direction", "p_mw", "price_eur_mwh"]
    )


def issues_of(net, **tables):
    with pytest.raises(CaseError) as caught:
        Case.from_pandapower(net, **tables)
    return caught.value.issues


@pytest.mark.parametrize(
    ("make", "direction"),
    [
        (support.oberrhein, "up"),  # its generators stand still
        (lambda: networks.create_cigre_network_mv(with_der="pv_wind"), "down"),  # these run at their rating
    ],
)
def test_plain_nets_with_bids(make, direction):
    net = make()
    bids = bids_for(net.sgen["name"].iloc[:5], direction=direction)
    before = bids.copy(deep=True)
    case = Case.from_pandapower(net, active_bids=bids)
    pd.testing.assert_frame_equal(bids, before)
    assert case.horizon.starts.tolist() == STARTS.tolist()
    assert case.active_bids["start"].tolist() == bids["start"].tolist()
    assert case.limits == Limits(0.95, 1.05, 100.0)


def test_every_table_is_there_with_its_types():
    case = Case.from_pandapower(support.tiny_net(), start="2016-06-19T10:00:00Z", periods=4)
    for name, table in TABLES.items():
        frame = case.table(name)
        assert list(frame.columns) == [column.name for column in table.columns]
        kinds = {"text": "object", "number": "float64", "whole": "float64", "time": "datetime64[ns, UTC]"}
        assert [str(dtype) for dtype in frame.dtypes] == [kinds[column.kind] for column in table.columns]
        assert frame.empty == (name != "connection_points")
    assert case.connection_points["connection_point"].tolist() == ["TSO"]
    assert case.connection_points["element"].tolist() == ["TSO"]


def test_same_case_from_folder_and_frames(tmp_path):
    folder = support.write_files(tmp_path / "c", support.base_files())
    case = read_case(folder)
    other = Case.from_pandapower(support.tiny_net(), start=STARTS[0], periods=4, **support.base_tables())
    assert other.content_hash == case.content_hash
    for name in TABLES:
        pd.testing.assert_frame_equal(other.table(name), case.table(name))


def test_defaults_are_written_out():
    tables = support.base_tables()
    tables["tap_changers"] = tables["tap_changers"].drop(columns="element_type")
    case = Case.from_pandapower(support.tiny_net(), **tables)
    assert case.tap_changers["element_type"].tolist() == ["trafo", "trafo"]
    assert case.storage["p_mode"].tolist() == ["scheduled"]
    assert np.isnan(case.storage["s_max_mva"].iloc[0])


def test_order_of_rows_is_kept_and_does_not_matter_to_the_hash():
    tables = support.base_tables()
    case = Case.from_pandapower(support.tiny_net(), **tables)
    turned = {name: frame if name == "forecast" else frame.iloc[::-1] for name, frame in tables.items()}
    turned["forecast"] = tables["forecast"].sort_values(["start", "element"])
    other = Case.from_pandapower(support.tiny_net(), name="other", **turned)
    assert other.active_bids["bid"].tolist() == case.active_bids["bid"].tolist()[::-1]
    assert other.active_bids.index.tolist() == [0, 1, 2, 3, 4]
    assert other.content_hash == case.content_hash
    tables["active_bids"].loc[0, "p_mw"] += 1e-15
    assert Case.from_pandapower(support.tiny_net(), **tables).content_hash != case.content_hash


@pytest.mark.parametrize("price", [-1.0, np.nan, np.inf, "60"])
def test_a_wrong_price_is_an_issue(price):
    (issue,) = issues_of(support.tiny_net(), start=STARTS[0], prices=Prices(losses_eur_mwh=price))
    assert (issue.file, issue.column) == ("prices", "losses_eur_mwh")
    assert repr(price) in issue.what


def test_every_wrong_term_of_the_settlement_is_an_issue():
    terms = SettlementTerms("free", 100.5, -1.0, np.nan)
    found = issues_of(support.tiny_net(), start=STARTS[0], settlement=terms)
    names = ["penalty_eur_mvarh", "penalty_eur_mwh", "pricing", "tolerance_percent"]
    assert [(issue.file, issue.column) for issue in found] == [("settlement", name) for name in names]


def test_issues_name_argument_and_index():
    bids = bids_for(["PV1", "PVx"], STARTS[:2]).set_index(pd.Index(["a", "b", "c", "d"]))
    bids.loc["b", "p_mw"] = -1.0
    bids.loc["d", "start"] = pd.Timestamp("2016-06-19T10:01Z")
    forecast = pd.DataFrame(
        {"element_type": "load", "element": "L1", "start": STARTS.tz_localize(None), "p_mw": 1.0}
    )
    found = issues_of(support.tiny_net(), active_bids=bids, forecast=forecast, outages="none")
    assert [(i.file, i.row, i.column) for i in found] == [
        ("active_bids", "b", "p_mw"),
        ("active_bids", "c", "element"),
        ("active_bids", "d", "element"),
        ("active_bids", "d", "start"),
        ("forecast", "0", "start"),
        ("forecast", "1", "start"),
        ("forecast", "2", "start"),
        ("forecast", "3", "start"),
        ("outages", "", ""),
    ]
    assert "has no offset from UTC" in found[-2].what


def test_faults_of_net_and_arguments_come_together():
    net = support.tiny_net()
    net.trafo.loc[0, "tap_pos"] = 99
    net.ext_grid["in_service"] = False
    found = issues_of(
        net,
        start="2016-06-19T10:00:00",
        periods=0,
        resolution="quarter",
        limits=Limits(vm_min_pu=1.2, loading_percent=-1.0),
    )
    assert [(i.file, i.row, i.column) for i in found] == [
        ("limits", "", "loading_percent"),
        ("net", "ext_grid", ""),
        ("net", "trafo 'T1'", "tap_pos"),
        ("periods", "", ""),
        ("resolution", "", ""),
        ("start", "", ""),
    ]


def test_no_start_at_all():
    assert [i.file for i in issues_of(support.tiny_net())] == ["start"]


def test_horizon_that_is_given_is_kept():
    bids = bids_for(["PV1"], STARTS[1:2])
    case = Case.from_pandapower(
        support.tiny_net(), start=STARTS[0], periods=8, resolution=pd.Timedelta("15min"), active_bids=bids
    )
    assert case.horizon.periods == 8
    assert case.horizon.start == STARTS[0]
    case = Case.from_pandapower(support.tiny_net(), resolution="PT5M", active_bids=bids_for(["PV1"]))
    assert case.horizon.periods == 10


def test_case_is_frozen_and_survives_pickling():
    case = Case.from_pandapower(support.tiny_net(), **support.base_tables())
    with pytest.raises(dataclasses.FrozenInstanceError):
        case.name = "x"
    again = pickle.loads(pickle.dumps(case))  # noqa: S301  our own bytes
    assert again.content_hash == case.content_hash
    with pytest.raises(KeyError):
        case.table("grid")


def test_case_does_not_follow_changes_of_its_sources():
    net, bids = support.tiny_net(), bids_for(["PV1"])
    case = Case.from_pandapower(net, active_bids=bids)
    before = pickle.dumps((case.active_bids, case.grid.tables["load"]))
    bids["p_mw"] = 7.0
    net.load["p_mw"] = 7.0
    pp.create_load(net, 3, 1.0)
    assert pickle.dumps((case.active_bids, case.grid.tables["load"])) == before
