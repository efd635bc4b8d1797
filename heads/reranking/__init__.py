"""Similarities corrected by what else is known: the gallery's hubs, the other queries."""
