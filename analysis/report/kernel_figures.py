"""The figure of real kernels: predicted against measured."""

import numpy as np

from analysis.report.drawing import GRID, INK, drawn, noted_legend, panels_of, time_axis
from analysis.report.kernels import FITTED, RECORDINGS
from strategies.styles import COLORS

STYLES = {
    "uffd_async": {"color": COLORS["scan"], "marker": "o"},
    "kvm_bitmap": {"color": COLORS["fault"], "marker": "s"},
    "kvm_manual": {"color": COLORS["mixed"], "marker": "D"},
    "kvm_ring": {"color": COLORS["log"], "marker": "^"},
}
PANELS = {"harvest": "one harvest", "interval": "guest time an interval"}
BAND = 0.10


@drawn
def predicted_against_measured(judged, title):
    """Return scatters of harvests and of guest time, what the fit saw left out.

    Parameters
    ----------
    judged : DataFrame
        As from `analysis.report.kernels.judged`.
    title : str
    """
    unseen = judged[judged["where"] != FITTED].dropna(subset="error")
    figure, panels = panels_of(len(PANELS), 3.2)
    for panel, (phase, label) in zip(panels, PANELS.items(), strict=True):
        _scatter(panel, unseen[unseen["phase"] == phase])
        panel.set(title=label, xlabel="measured", ylabel="predicted")
    handles, labels = panels[0].get_legend_handles_labels()
    note = f"Band: within {BAND:.0%}. Ringed: recordings, all epochs together."
    noted_legend(figure, note, handles=handles, labels=labels)
    figure.suptitle(title)
    return figure


def _scatter(panel, rows):
    for lane, of_lane in rows.groupby("lane", sort=False):
        panel.plot(
            of_lane["measured"], of_lane["predicted"], linestyle="", markersize=4, label=lane,
            **STYLES[lane],
        )  # fmt: skip
    ringed = rows[rows["where"] == RECORDINGS]
    options = {"marker": "o", "markersize": 9, "markerfacecolor": "none", "color": INK}
    panel.plot(ringed["measured"], ringed["predicted"], linestyle="", **options)
    ends = np.array([rows["measured"].min() / 2, rows["measured"].max() * 2])
    panel.fill_between(ends, ends * (1 - BAND), ends * (1 + BAND), color=INK, alpha=0.2)
    panel.set(xscale="log", yscale="log")
    panel.grid(**GRID)
    time_axis(panel.xaxis)
    time_axis(panel.yaxis)
