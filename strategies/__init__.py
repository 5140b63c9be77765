"""Dirty-page tracking strategies of hypervisors, over one simulated machine."""
