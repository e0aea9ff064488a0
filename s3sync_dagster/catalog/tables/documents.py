"""What stands in Chroma: documents, and the collections that hold them."""

import sqlalchemy as sa

from s3sync_dagster.catalog.tables.schema import Key, Time, Word, metadata

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("source_id", sa.Text, nullable=False),
    sa.Column("object_key", Key, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("database_name", sa.Text, nullable=False),
    sa.Column("collection_name", sa.Text, nullable=False),
    sa.Column("document_id", sa.Text, nullable=False),
    sa.Column("custom_id", sa.Text),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("phase", Word("writing", "clean", "removing"), nullable=False),
    sa.Column("etag", sa.Text),
    sa.Column("fingerprint", sa.Text),
    sa.Column("chunks", sa.Integer, nullable=False, server_default="0"),
    sa.Column("high_water", sa.Integer, nullable=False, server_default="0"),
    sa.Column("digests", sa.LargeBinary, nullable=False),
    sa.Column("metadata_keys", sa.JSON, nullable=False),
    sa.Column("batch_token", sa.Text),
    sa.Column("text_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("pages", sa.Integer, nullable=False, server_default="0"),
    sa.Column("indexed_at", Time),
    # Chroma's id of the collection that it was written to: what its record ids are good for.
    sa.Column("collection_id", sa.Text),
    # What the object carried besides its bytes when it was written, as metadata.
    sa.Column("carried", sa.JSON, nullable=False, server_default="{}"),
    # Reader keys under which its records have nothing that a member said (core.vouching).
    sa.Column("withheld", sa.Text),
    # What an owner asked of it and could not be written yet (core.state.Said).
    sa.Column("said", sa.JSON(none_as_null=True)),
    # Ids of other sources that its records may name until it is written anew.
    sa.Column("written_as", sa.JSON(none_as_null=True)),
    sa.CheckConstraint("phase IN ('writing', 'clean', 'removing')", name="ck_documents_phase"),
    sa.CheckConstraint("chunks <= high_water", name="ck_documents_high_water"),
    sa.CheckConstraint(
        "phase <> 'clean' OR (etag IS NOT NULL AND fingerprint IS NOT NULL"
        " AND batch_token IS NULL)",
        name="ck_documents_clean",
    ),
    sqlite_autoincrement=True,  # an id that a late worker remembers is never another document's
)
# What an owner has asked for in vain is a row before it is anything that could be removed.
has_records = documents.c.high_water > 0
# One owner of a record id in a collection, whatever its phase: a removal never meets a new owner.
sa.Index(
    "uq_documents_record_ids",
    documents.c.tenant,
    documents.c.database_name,
    documents.c.collection_name,
    documents.c.document_id,
    unique=True,
)
sa.Index(
    "uq_documents_object",
    documents.c.source_id,
    documents.c.object_key,
    documents.c.tenant,
    documents.c.database_name,
    documents.c.collection_name,
    unique=True,
    sqlite_where=documents.c.phase != "removing",
    postgresql_where=documents.c.phase != "removing",
)
sa.Index("ix_documents_source", documents.c.source_id, documents.c.object_key)
sa.Index("ix_documents_written", documents.c.source_id, documents.c.indexed_at)
sa.Index(
    "ix_documents_unclean",
    documents.c.source_id,
    sqlite_where=documents.c.phase != "clean",
    postgresql_where=documents.c.phase != "clean",
)
sa.Index(
    "ix_documents_batch",
    documents.c.batch_token,
    sqlite_where=documents.c.batch_token.is_not(None),
    postgresql_where=documents.c.batch_token.is_not(None),
)
sa.Index(
    "ix_documents_withheld",
    documents.c.source_id,
    documents.c.withheld,
    sqlite_where=documents.c.withheld.is_not(None),
    postgresql_where=documents.c.withheld.is_not(None),
)
sa.Index(
    "ix_documents_kept",
    documents.c.source_id,
    documents.c.object_key,
    sqlite_where=(_kept := sa.text("substr(owner, 1, 5) = 'kept:'")),
    postgresql_where=_kept,
)
is_kept = sa.text("substr(documents.owner, 1, 5) = 'kept:'")

# The collections that a source writes to. No row of theirs is trusted under another id.
collections = sa.Table(
    "collections",
    metadata,
    sa.Column("source_id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("database_name", sa.Text, primary_key=True),
    sa.Column("collection_name", sa.Text, primary_key=True),
    sa.Column("collection_id", sa.Text),  # None: not met since ids are kept; "": it was absent
    # How far the rolling check has come: a document, the next of its records, and when.
    sa.Column("checked_document", sa.Integer, nullable=False, server_default="0"),
    sa.Column("checked_record", sa.Integer, nullable=False, server_default="0"),
    sa.Column("checked_at", Time, nullable=False, server_default="0"),
    # Since when records that no document has are being deleted there; NULL: none are.
    sa.Column("deleting_since", Time),
)
