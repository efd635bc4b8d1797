"""What several stages share: csv text, rows of a split, rows that train. Part of the code that DVC watches."""
