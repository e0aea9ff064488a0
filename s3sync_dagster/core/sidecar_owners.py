"""What sidecars have a say in: whose documents are theirs, and which of several has the claim."""

from s3sync_dagster.core.facts import SidecarState
from s3sync_dagster.core.sidecar import is_sidecar
from s3sync_dagster.model.source import AutoSync, Source

SIDECAR_OWNER = "sidecar:"
KEPT_OWNER = "kept:"
"""Of a document whose sidecar went while the source's mode kept it: a listing alone ends it."""


def owner_of(sidecar: SidecarState) -> str:
    """Return the owner of documents that a sidecar asks for."""
    return SIDECAR_OWNER + sidecar.sidecar_key


def collection_of(sidecar: SidecarState, source: Source) -> str:
    """Return the collection for which a sidecar asks."""
    return sidecar.target_collection_name or source.collection_name


def sidecar_claims(sidecars: tuple[SidecarState, ...], source: Source) -> dict[str, SidecarState]:
    """Return collection -> the sidecar that has it; the smallest sidecar key wins."""
    claims: dict[str, SidecarState] = {}
    for sidecar in sorted(sidecars, key=lambda one: one.sidecar_key):
        still = is_sidecar(sidecar.sidecar_key, bedrock=source.bedrock_sidecars)
        if source.auto_sync is AutoSync.DIRECT and not still:
            continue  # see ``engine.batch.sidecars.end_sidecars``
        claims.setdefault(collection_of(sidecar, source), sidecar)
    return claims


def owed_to(owner: str) -> str | None:
    """Return what takes its document along when it ends: a sidecar, or the mode that kept it."""
    return owner if owner.startswith((SIDECAR_OWNER, KEPT_OWNER)) else None
