"""A fleet's question: many recordings, every strategy, and one answer for all of them."""
