"""Runs beside each other: the workspace, commits and DVC's experiments, with what they were asked for and scored."""
