"""The prepared data set on disk: rows (images.parquet, rows.parquet) and protocol.json."""
