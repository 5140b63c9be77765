"""The cost model: a table of terms, its evaluator, and the platforms' unit costs."""
