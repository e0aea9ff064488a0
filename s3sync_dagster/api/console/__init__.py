"""The console: a few pages for people, rendered here, readable without JavaScript."""
