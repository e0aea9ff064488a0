"""A pool of limited, killable worker processes."""
