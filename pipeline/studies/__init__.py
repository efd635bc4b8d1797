"""Published reports re-run: `studies/<name>.yaml` -> experiments -> `studies/<name>.md` and `.csv`."""
