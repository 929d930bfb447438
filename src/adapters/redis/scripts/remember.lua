#!lua
-- Keeps a session in place of what was kept of it. KEYS: the session's. ARGV: for how many milliseconds, then a field
-- and its value, for each.
redis.call('DEL', KEYS[1])
for i = 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
