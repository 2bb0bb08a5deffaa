"""mm_cli: the `mm` command: one launcher, a live view, a summary."""
