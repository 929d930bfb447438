-- The log is synced beside SQLite, whether or not an append has anything to write.
DROP TABLE forced_syncs;
