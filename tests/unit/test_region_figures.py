"""Pictures of regions: which ways are drawn as gaps, what the places are coloured by, what is refused."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from gridclear.errors import OptionError
from gridclear.report.region_figures import plot_area, plot_joint

START = pd.Timestamp("2025-01-15 10:00", tz="UTC")
SQUARE = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]])


def maps(*, area_state="mapped"):
    """Tables of one square with a gap at its right side, as an area and as a joint map."""
    own = {"start": START, "connection_point": "A"}
    next_ = ["had", "gap", "had", "had"]
    cost = [1.0, 2.0, 3.0, 4.0]
    x, y = SQUARE.T
    area = pd.DataFrame({**own, "p_mw": x, "q_mvar": y, "cost_eur": cost, "next": next_})
    lattice = pd.DataFrame(
        {**own, "p_mw": [0.5, 0.2, np.nan], "q_mvar": [0.5, 0.2, np.nan], "cost_eur": [0.5, 1.5, np.nan],
         "asked_p_mw": [0.5, 1.5, 1.0], "asked_q_mvar": [0.5, 0.75, 0.1],
         "state": ["had", "gap", "unknown"]}
    )  # fmt: skip
    joint = pd.DataFrame({**own, "other_point": "B", "q_mvar": x, "other_q_mvar": y, "cost_eur": cost,
                          "place": "boundary", "state": next_})  # fmt: skip
    ranges = pd.DataFrame({"start": START, "connection_point": ["A", "B"], "p_mw": [0.3, 9.0],
                           "q_forecast_mvar": [0.4, 0.6]})  # fmt: skip
    states = pd.DataFrame({"start": START, "connection_point": "A", "other_point": ["", "B"],
                           "state": [area_state, "mapped"]})  # fmt: skip
    return SimpleNamespace(
        area=area, lattice=lattice, joint=joint, ranges=ranges, regions=SimpleNamespace(states=states)
    )


def lines(figure):
    """Labelled lines: their ends, a row for each."""
    return {
        line.get_label(): np.column_stack([line.get_xdata(), line.get_ydata()])
        for line in figure.axes[0].lines
    }


@pytest.mark.parametrize("plot", [lambda pq: plot_area(pq, "A", START), lambda pq: plot_joint(pq, START)])
def test_gaps_of_the_boundary_are_lines_of_their_own(plot):
    drawn = lines(plot(maps()))
    gap = drawn["its gaps, where the middle cannot be had"]
    np.testing.assert_array_equal(gap, [[2.0, 0.0], [2.0, 1.0], [np.nan, np.nan]])
    boundary = drawn["boundary"].reshape(3, 3, 2)
    np.testing.assert_array_equal(boundary[:, 0], SQUARE[[0, 2, 3]])
    np.testing.assert_array_equal(boundary[:, 1], SQUARE[[1, 3, 0]])


def test_places_inside_are_coloured_by_cost_and_gaps_stand_where_they_were_asked_for():
    figure = plot_area(maps(), "A", START)
    corners, had, gap = figure.axes[0].collections
    np.testing.assert_array_equal(corners.get_offsets(), SQUARE)
    np.testing.assert_array_equal(corners.get_array(), [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(had.get_array(), [0.5])
    assert corners.get_clim() == had.get_clim() == (0.5, 4.0)
    np.testing.assert_array_equal(gap.get_offsets(), [[1.5, 0.75]])


def test_the_forecast_is_that_of_the_axes():
    np.testing.assert_array_equal(lines(plot_area(maps(), "A", START))["forecast"], [[0.3, 0.4]])
    np.testing.assert_array_equal(lines(plot_joint(maps(), START))["forecast"], [[0.4, 0.6]])


def test_a_region_that_is_not_mapped_says_so():
    assert "(partial)" in plot_area(maps(area_state="partial"), "A", START).axes[0].get_title(loc="left")
    assert "(" not in plot_joint(maps(area_state="partial"), START).axes[0].get_title(loc="left")


def test_what_there_is_not_is_refused():
    with pytest.raises(OptionError, match="no region of nowhere at 2025-01-15"):
        plot_area(maps(), "nowhere", START)
    with pytest.raises(OptionError, match="no region of two connection points"):
        plot_joint(maps(), START + pd.Timedelta("15min"))
