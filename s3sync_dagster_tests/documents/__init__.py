"""The documents are run: each command of their shell blocks, in order, page by page."""
