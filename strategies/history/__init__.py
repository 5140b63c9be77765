"""Trackers of the thread's time, of another KVM (Book3S PR): shown, never among the choices."""
