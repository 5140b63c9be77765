"""From recorded results to figures and advice; it never builds a machine."""
