CREATE TABLE idempotency_keys (
    principal   TEXT    NOT NULL,
    route       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    event       BLOB    NOT NULL,
    resource    TEXT    NOT NULL,
    holder      BLOB    NOT NULL,
    -- NULL once the lease was released.
    lease_until INTEGER,
    claimed_at  INTEGER NOT NULL,
    -- NULL until the request was carried out.
    status      INTEGER,
    body        BLOB,
    PRIMARY KEY (principal, route, key)
) STRICT;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (claimed_at);
