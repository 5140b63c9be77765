"""Trackers that no kernel has any more: shown as history, never among the choices."""
