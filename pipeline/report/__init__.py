"""Scores for people: tables, plots for DVC, galleries, and one page that holds it all."""
