"""The page of `python -m pipeline demo`: search, compare, draw. Gradio is imported by these modules alone."""

from pipeline.demo.environment import prepare_environment

prepare_environment()  # before any of these modules imports Gradio
