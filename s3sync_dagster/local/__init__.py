"""The embedded stack for laptops."""
