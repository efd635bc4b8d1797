"""Readers: one module a data set or layout, each turning it into a `Source`."""
