#!lua
-- Removes clients. KEYS as for those who are added; ARGV: the clients.
for _, client in ipairs(ARGV) do
  redis.call('ZREM', KEYS[1], client)
  redis.call('HDEL', KEYS[2], client)
end
