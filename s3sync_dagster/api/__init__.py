"""The Sync API and the console."""
