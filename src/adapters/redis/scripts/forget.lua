#!lua
-- Forgets a session. KEYS: the session's.
redis.call('DEL', KEYS[1])
