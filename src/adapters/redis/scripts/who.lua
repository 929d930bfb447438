#!lua
-- Drops who is gone, and returns what is known of the others. KEYS as for those who are added; ARGV: now or '' for the
-- server's time.
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
for _, client in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))) do
  redis.call('ZREM', KEYS[1], client)
  redis.call('HDEL', KEYS[2], client)
end
return redis.call('HVALS', KEYS[2])
