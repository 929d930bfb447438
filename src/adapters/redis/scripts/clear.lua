#!lua
-- Forgets all tallies. KEYS: three that go as they are, then of each window what was last told and the versions of its
-- buckets. ARGV: of each window, what the keys of its buckets begin with.
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
for window = 1, #ARGV do
  local told, versions = KEYS[2 + 2 * window], KEYS[3 + 2 * window]
  for _, bucket in ipairs(redis.call('HKEYS', versions)) do
    redis.call('DEL', ARGV[window] .. bucket)
  end
  redis.call('DEL', told, versions)
end
return 1
