-- For MySQL 8 and MariaDB. Times are UTC. Texts are compared byte by byte: what is equal without regard to case is
-- stored in lower case by the rules of Unicode, in a column of its own where the original counts, too.

CREATE TABLE users (
    user_id         BIGINT       NOT NULL AUTO_INCREMENT PRIMARY KEY,
    email           VARCHAR(255) NOT NULL,
    username        VARCHAR(50)  NOT NULL,
    -- A character may become three when it is folded.
    username_folded VARCHAR(150) NOT NULL,
    password_hash   VARCHAR(255) NOT NULL,
    first_name      VARCHAR(50)  NOT NULL DEFAULT '',
    last_name       VARCHAR(50)  NOT NULL DEFAULT '',
    is_active       BOOLEAN      NOT NULL DEFAULT TRUE,
    email_verified  BOOLEAN      NOT NULL DEFAULT FALSE,
    role            ENUM ('member', 'moderator', 'admin') NOT NULL DEFAULT 'member',
    created_at      DATETIME(3)  NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    updated_at      DATETIME(3)  NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
    CONSTRAINT users_email UNIQUE (email),
    CONSTRAINT users_username UNIQUE (username),
    CONSTRAINT users_username_folded UNIQUE (username_folded),
    INDEX users_by_created_at (created_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE subscriptions (
    subscription_id     BIGINT        NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id             BIGINT        NOT NULL,
    plan_type           ENUM ('free', 'pro', 'enterprise') NOT NULL,
    status              ENUM ('active', 'cancelled', 'expired') NOT NULL DEFAULT 'active',
    monthly_price       DECIMAL(8, 2) NOT NULL DEFAULT 0,
    billing_cycle_start DATETIME(3)   NULL,
    billing_cycle_end   DATETIME(3)   NULL,
    auto_renew          BOOLEAN       NOT NULL DEFAULT TRUE,
    created_at          DATETIME(3)   NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    INDEX subscriptions_by_user (user_id, status),
    INDEX subscriptions_by_status (status),
    CONSTRAINT subscriptions_of_users FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE orders (
    order_id     BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id      BIGINT         NOT NULL,
    total_amount DECIMAL(10, 2) NOT NULL,
    status       VARCHAR(20)    NOT NULL DEFAULT 'pending',
    created_at   DATETIME(3)    NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    INDEX orders_by_user (user_id, created_at),
    CONSTRAINT orders_of_users FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE payment_history (
    payment_id      BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id         BIGINT         NOT NULL,
    subscription_id BIGINT         NULL,
    amount          DECIMAL(10, 2) NOT NULL,
    currency        CHAR(3)        NOT NULL DEFAULT 'USD',
    payment_method  VARCHAR(50)    NOT NULL,
    transaction_id  VARCHAR(255)   NOT NULL,
    status          ENUM ('pending', 'completed', 'failed', 'refunded') NOT NULL DEFAULT 'pending',
    processed_at    DATETIME(3)    NULL,
    CONSTRAINT payment_history_transaction UNIQUE (transaction_id),
    INDEX payment_history_by_user (user_id, processed_at),
    INDEX payment_history_by_subscription (subscription_id),
    INDEX payment_history_by_status (status),
    CONSTRAINT payments_of_users FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE,
    CONSTRAINT payments_for_subscriptions FOREIGN KEY (subscription_id)
        REFERENCES subscriptions (subscription_id) ON DELETE SET NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE sessions (
    -- The SHA-256 of the token.
    token_hash BINARY(32)   NOT NULL PRIMARY KEY,
    user_id    BIGINT       NOT NULL,
    created_at DATETIME(3)  NOT NULL,
    expires_at DATETIME(3)  NOT NULL,
    revoked_at DATETIME(3)  NULL,
    user_agent VARCHAR(255) NOT NULL,
    ip         VARCHAR(64)  NOT NULL,
    INDEX sessions_by_user (user_id, revoked_at),
    -- What is purged is found by these.
    INDEX sessions_by_expiry (expires_at),
    INDEX sessions_by_revocation (revoked_at),
    CONSTRAINT sessions_of_users FOREIGN KEY (user_id) REFERENCES users (user_id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE tickets (
    ticket_hash  BINARY(32)  NOT NULL PRIMARY KEY,
    session_hash BINARY(32)  NOT NULL,
    expires_at   DATETIME(3) NOT NULL,
    INDEX tickets_by_expiry (expires_at),
    INDEX tickets_by_session (session_hash),
    CONSTRAINT tickets_of_sessions FOREIGN KEY (session_hash) REFERENCES sessions (token_hash) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Keys of the server API, besides the one of the settings.
CREATE TABLE api_keys (
    key_hash     BINARY(32)   NOT NULL PRIMARY KEY,
    name         VARCHAR(255) NOT NULL,
    -- Separated by spaces; empty is everything.
    scopes       VARCHAR(255) NOT NULL DEFAULT '',
    created_at   DATETIME(3)  NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    last_used_at DATETIME(3)  NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What all nodes must hear of. A number is given when the row is written, and the row is seen when its transaction
-- commits: whoever reads on from the highest number must go back for those that are missing below it.
CREATE TABLE account_changes (
    change_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id   BIGINT          NOT NULL,
    kind      VARCHAR(20)     NOT NULL,
    -- Which session it is about: the first eight bytes of its token's hash, most significant first, as a signed
    -- number. NULL where the change is about the whole account.
    session   BIGINT          NULL,
    at        DATETIME(3)     NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Who did what to which account, and from where. It outlives the account.
CREATE TABLE account_audit (
    audit_id BIGINT      NOT NULL AUTO_INCREMENT PRIMARY KEY,
    user_id  BIGINT      NOT NULL,
    kind     VARCHAR(50) NOT NULL,
    actor    ENUM ('owner', 'operator') NOT NULL,
    source   VARCHAR(64) NULL,
    at       DATETIME(3) NOT NULL,
    INDEX account_audit_by_user (user_id, at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE settings (
    `key`      VARCHAR(100) NOT NULL PRIMARY KEY,
    `value`    TEXT         NOT NULL,
    changed_by BIGINT       NULL,
    changed_at DATETIME(3)  NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
