#!lua
-- What is kept of a session, field by field. KEYS: the session's.
return redis.call('HGETALL', KEYS[1])
