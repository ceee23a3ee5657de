"""The tables of the forecast error as DataFrames."""

from __future__ import annotations

import case_support as support
import numpy as np
import pandas as pd
import pytest

from gridclear.case import Case
from gridclear.errors import CaseError
from gridclear.io import read_case, write_case

STARTS = pd.date_range("2016-06-19T10:00Z", periods=4, freq="15min")
ROWS = [(kind, name, start) for kind, name in (("sgen", "PV1"), ("load", "L2")) for start in STARTS]
QUANTILES = pd.DataFrame(
    [(*row, q, 1.0 + q) for row in ROWS for q in (0.1, 0.5, 0.9)],
    columns=["element_type", "element", "start", "probability", "p_mw"],
)
SCENARIOS = pd.DataFrame(
    [(name, *row, p) for row in ROWS for name, p in (("low", 0.5), ("high", 1.5))],
    columns=["scenario", "element_type", "element", "start", "p_mw"],
)


def case_with(**tables):
    return Case.from_pandapower(support.tiny_net(), start=STARTS[0], periods=4, **tables)


@pytest.mark.parametrize("table", [{"forecast_quantiles": QUANTILES}, {"forecast_scenarios": SCENARIOS}])
def test_forecast_error_is_read_hashed_and_written(table, tmp_path):
    ((name, frame),) = table.items()
    case = case_with(**table)
    assert case.table(name)["p_mw"].tolist() == frame["p_mw"].tolist()
    assert case.content_hash != case_with().content_hash
    assert case.content_hash == case_with(**{name: frame.iloc[::-1]}).content_hash
    changed = frame.assign(p_mw=frame["p_mw"] + np.where(np.arange(len(frame)) == len(frame) - 1, 1e-9, 0.0))
    assert case.content_hash != case_with(**{name: changed}).content_hash
    write_case(case, tmp_path / "case")
    assert read_case(tmp_path / "case").content_hash == case.content_hash


def test_either_table_not_both():
    with pytest.raises(CaseError) as caught:
        case_with(forecast_quantiles=QUANTILES, forecast_scenarios=SCENARIOS)
    (issue,) = caught.value.issues
    assert (issue.file, issue.row, issue.expected) == (
        "forecast_quantiles",
        "",
        "scenarios or quantiles, not both",
    )


def test_one_element_under_two_names():
    net = support.tiny_net()
    net.sgen["origin_id"] = ["_pv", "_wind"]
    other = QUANTILES[QUANTILES["element"] == "PV1"].assign(element="_pv")
    with pytest.raises(CaseError) as caught:
        Case.from_pandapower(
            net,
            start=STARTS[0],
            periods=4,
            forecast_quantiles=pd.concat([QUANTILES, other], ignore_index=True),
        )
    (issue,) = caught.value.issues
    assert (issue.row, issue.column, issue.what) == ("24", "element", "'_pv' and 'PV1' are the same sgen")
