"""What every table stands on: the database, its schema, errors, ids, locks, archives."""
