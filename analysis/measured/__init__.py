"""What was measured: the readers of results, what follows from them, and how well it predicts."""
