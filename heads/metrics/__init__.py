"""Scores of a similarity: pure functions from similarities and group labels to numbers, one idea per file."""
