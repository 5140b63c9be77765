"""The contract of every tracker that logs, as functions that anyone can hold a tracker to."""
