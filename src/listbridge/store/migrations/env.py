"""What Alembic runs: the migrations, on the connection that it was given."""

from alembic import context

from listbridge.store.tables import metadata, version

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=version.name,
    transactional_ddl=True,  # on SQLite too: the transactions are begun by us
)
with context.begin_transaction():
    context.run_migrations()
