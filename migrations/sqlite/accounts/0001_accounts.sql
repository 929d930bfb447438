-- Times are milliseconds since the Unix epoch, money is in the hundredth part of the currency.

CREATE TABLE users (
    -- AUTOINCREMENT: a number is not given again after its account was deleted.
    user_id         INTEGER PRIMARY KEY AUTOINCREMENT,
    email           TEXT    NOT NULL UNIQUE,
    username        TEXT    NOT NULL,
    -- The name in lower case by the rules of Unicode, which SQLite does not know.
    username_folded TEXT    NOT NULL UNIQUE,
    password_hash   TEXT    NOT NULL,
    first_name      TEXT    NOT NULL,
    last_name       TEXT    NOT NULL,
    is_active       INTEGER NOT NULL DEFAULT 1,
    email_verified  INTEGER NOT NULL DEFAULT 0,
    role            TEXT    NOT NULL DEFAULT 'member' CHECK (role IN ('member', 'moderator', 'admin')),
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;

CREATE INDEX users_by_created_at ON users (created_at);

CREATE TABLE subscriptions (
    subscription_id     INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id             INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    plan_type           TEXT    NOT NULL CHECK (plan_type IN ('free', 'pro', 'enterprise')),
    status              TEXT    NOT NULL CHECK (status IN ('active', 'cancelled', 'expired')),
    monthly_price       INTEGER NOT NULL DEFAULT 0,
    billing_cycle_start INTEGER,
    billing_cycle_end   INTEGER,
    auto_renew          INTEGER NOT NULL DEFAULT 1,
    created_at          INTEGER NOT NULL
) STRICT;

CREATE INDEX subscriptions_by_user ON subscriptions (user_id, status);

CREATE TABLE sessions (
    token_hash BLOB    NOT NULL PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    user_agent TEXT    NOT NULL,
    ip         TEXT    NOT NULL
) STRICT;

CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE tickets (
    ticket_hash  BLOB    NOT NULL PRIMARY KEY,
    session_hash BLOB    NOT NULL REFERENCES sessions ON DELETE CASCADE,
    expires_at   INTEGER NOT NULL
) STRICT;

CREATE INDEX tickets_by_expiry ON tickets (expires_at);
CREATE INDEX tickets_by_session ON tickets (session_hash);

-- What other nodes must hear of, numbered in the order in which it happened.
CREATE TABLE account_changes (
    change_id INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id   INTEGER NOT NULL,
    kind      TEXT    NOT NULL,
    at        INTEGER NOT NULL
) STRICT;
