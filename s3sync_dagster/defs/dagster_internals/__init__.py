"""All that needs Dagster's private modules (``dagster._*``), whose minor version is pinned for it.

Nothing outside this folder imports one. The test of this folder uses each against the Dagster that
is installed, so that an update of Dagster shows here first.
"""
