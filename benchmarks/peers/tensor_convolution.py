"""TensorConvolution+ on one of its own example networks, run by an interpreter that has the package.

Its dependencies (torch among them) are some gigabytes, so it has an environment of its own, and this file is
executed there with one argument: net, loads, plants, dp, dq and repeats as JSON. It imports nothing of this
project and prints one line of JSON: seconds of every run, from the providers' profiles to the matrix of
cells, without reading the network and without plots, and the middles of the cells that it calls feasible.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
import warnings
from typing import TYPE_CHECKING

from TensorConvolutionPlus import FA_Estimator as estimator

if TYPE_CHECKING:
    import pandas as pd


def main() -> None:
    """Run it, catch what it would write to files, and print the answer."""
    asked = json.loads(sys.argv[1])
    warnings.simplefilter("ignore")
    began: list[float] = []
    seconds: list[float] = []
    frames: list[pd.DataFrame] = []
    profiles = estimator.conv_profile_creation

    def begin(*args: object, **options: object) -> object:
        began.append(time.perf_counter())
        return profiles(*args, **options)

    def end(frame: pd.DataFrame, name: str) -> str:
        seconds.append(time.perf_counter() - began[-1])
        frames.append(frame)
        return name

    estimator.conv_profile_creation, estimator.write_conv_result = begin, end
    for plot in ("plot_multi_convolution", "get_uncertainty_interpret"):
        setattr(estimator, plot, lambda *_, **__: None)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for _ in range(asked["repeats"]):
            estimator.tc_plus(
                net_name=asked["net"],
                fsp_load_indices=asked["loads"],
                fsp_dg_indices=asked["plants"],
                dp=asked["dp"],
                dq=asked["dq"],
            )
    frame = frames[-1]
    p_mw, q_mvar = frame.columns.astype(float), frame.index.astype(float)
    row, column = (frame.to_numpy(dtype=float) > 0.0).nonzero()
    cells = list(zip(p_mw[column].tolist(), q_mvar[row].tolist(), strict=True))
    print(json.dumps({"seconds": seconds, "cells": cells}))


main()
