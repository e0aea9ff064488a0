"""What other products call a source, read into the words of the Sync API."""
