"""Who gave the metadata of a request is kept: what a member said names no readers of a document.

Of requests and documents from before nobody knows it: theirs name none either.
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

INDEX = "ix_documents_withheld"


def upgrade() -> None:
    op.add_column(
        "invocations", sa.Column("vouched", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("documents", sa.Column("withheld", sa.Text))
    op.execute(
        "UPDATE documents SET withheld = '[]' WHERE owner NOT LIKE 'sidecar:%' "
        "AND CAST(metadata AS TEXT) <> '{}'"
    )
    some = sa.text("withheld IS NOT NULL")
    op.create_index(
        INDEX, "documents", ["source_id", "withheld"], sqlite_where=some, postgresql_where=some
    )


def downgrade() -> None:
    op.drop_index(INDEX, "documents")
    op.drop_column("documents", "withheld")
    op.drop_column("invocations", "vouched")
