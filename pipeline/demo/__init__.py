"""The page of `python -m pipeline demo`: search, compare, draw. Gradio is imported by these modules alone."""
