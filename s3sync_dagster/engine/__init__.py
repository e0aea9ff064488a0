"""The use cases: what the doors call, without any framework; ports are parameters."""
