class FeatureError(ValueError):
    """Bad input to `features`: one line for a person, saying what, where and what to do."""
