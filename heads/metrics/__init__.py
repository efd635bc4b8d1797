"""How good is a similarity? Pure functions from similarities and group codes to numbers, one idea per file."""
