"""The figure of real kernels: predicted against measured."""

from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

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
RATIOS = (0.5, 0.7, 0.9, 1.1, 1.4, 2)


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
    figure, panels = panels_of(len(PANELS), 3.2, sharey=True)
    for panel, (phase, label) in zip(panels, PANELS.items(), strict=True):
        _scatter(panel, unseen[unseen["phase"] == phase])
        panel.set(title=label, xlabel="measured")
    panels[0].set(ylabel="predicted / measured")
    handles, labels = panels[0].get_legend_handles_labels()
    note = f"Band: within {BAND:.0%}. Ringed: recordings, all epochs together."
    noted_legend(figure, note, handles=handles, labels=labels)
    figure.suptitle(title)
    return figure


def _scatter(panel, rows):
    rows = rows.assign(ratio=rows["predicted"] / rows["measured"])
    panel.axhspan(1 - BAND, 1 + BAND, color=INK, alpha=0.2, linewidth=0)
    dots = {"linestyle": "", "markersize": 4}
    for lane, of_lane in rows.groupby("lane", sort=False):
        panel.plot(of_lane["measured"], of_lane["ratio"], label=lane, **dots, **STYLES[lane])
    ringed = rows[rows["where"] == RECORDINGS]
    ring = {"linestyle": "", "marker": "o", "markersize": 9, "markerfacecolor": "none"}
    panel.plot(ringed["measured"], ringed["ratio"], color=INK, **ring)
    panel.set(xscale="log", yscale="log")
    panel.grid(**GRID)
    time_axis(panel.xaxis)
    panel.xaxis.set_major_locator(LogLocator(base=1000, numticks=4))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_locator(FixedLocator(RATIOS))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda ratio, _: f"{ratio:g}"))
    panel.yaxis.set_minor_locator(NullLocator())
