"""Trackers that choose, page by page, between faults and changed bits."""
