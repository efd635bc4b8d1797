class HeadError(ValueError):
    """Bad input to `heads`: one line for a person, saying what, where and what to do."""
