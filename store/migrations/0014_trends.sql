-- How many rows each version of a table had, so that the catalog draws it without reading what became of every run.
CREATE INDEX run_tables_versions ON run_tables (table_id, run_id, rows) WHERE generation > 0;
