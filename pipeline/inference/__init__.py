"""A trained head in use: images in, answers out. What `compare`, `search`, `export` and `demo` stand on."""
