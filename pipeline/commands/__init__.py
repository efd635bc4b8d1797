"""Verbs for people: nothing in dvc.yaml runs them."""
