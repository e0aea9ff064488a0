"""The Sync API over HTTP, the operations beyond it, and the console."""
