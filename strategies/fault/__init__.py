"""Trackers that take a fault at the first write to a page."""
