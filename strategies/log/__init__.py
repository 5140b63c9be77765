"""Trackers that read a log of first writes, which the hardware or the kernel appends to."""
