"""One outside system each."""
