"""Trackers that a real kernel runs: real memory, real stores, the same harvest into a bitmap."""
