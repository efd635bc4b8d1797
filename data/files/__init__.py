"""Files on disk: atomic writes, archives and folders read in place, downloads."""
