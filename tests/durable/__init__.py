"""Jobs that outlive the process, on SQLite and on a real PostgreSQL."""
