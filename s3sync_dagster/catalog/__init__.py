"""The database of sources, objects, documents and invocations: the state that decides."""
