"""Trackers that read the changed bits which the hardware sets."""
