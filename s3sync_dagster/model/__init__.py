"""Frozen values and the error tree. Standard library only."""
