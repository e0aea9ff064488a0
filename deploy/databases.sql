-- Dagster's instance and the catalog, each in a database of its own.
CREATE DATABASE dagster;
CREATE DATABASE s3sync;
