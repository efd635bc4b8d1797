class DataError(ValueError):
    """Bad input to `data`: one line for a person, saying what, where and what to do."""
