"""One folder for each group of sources."""
