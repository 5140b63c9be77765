"""The report: figures, notebooks, one page."""
