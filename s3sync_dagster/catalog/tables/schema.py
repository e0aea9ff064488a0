"""What all tables share: names of constraints, and types of columns."""

import sqlalchemy as sa

from s3sync_dagster.catalog.key_text import KeyText

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Key = KeyText()
Time: sa.Double[float] = sa.Double()
