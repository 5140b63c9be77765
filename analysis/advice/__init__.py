"""From a deployment to a strategy: what each trades, how surely, and what to set."""
