-- Which session a change is about: the first eight bytes of its token's hash, most significant first,
-- as a signed number. NULL where the change is about the whole account.
ALTER TABLE account_changes ADD COLUMN session INTEGER;

-- Keys of the server API, besides the one of the settings.
CREATE TABLE api_keys (
    key_hash   BLOB    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- Who did what to which account. It outlives the account.
CREATE TABLE account_audit (
    audit_id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id  INTEGER NOT NULL,
    kind     TEXT    NOT NULL,
    actor    TEXT    NOT NULL CHECK (actor IN ('owner', 'operator')),
    at       INTEGER NOT NULL
) STRICT;

CREATE INDEX account_audit_by_user ON account_audit (user_id, at);

-- What is purged is found by these.
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_revocation ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;
