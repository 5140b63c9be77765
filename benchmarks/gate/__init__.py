"""The gate: whether a revision is slower than another, or counts otherwise."""
