#!lua
-- Reads the buckets of a window that changed. KEYS: the versions of the window's buckets. ARGV: the oldest bucket that
-- counts, what the keys of buckets begin with, then the number and version of each bucket that is known.
-- Returns the versions, and of each bucket that is not known in its version, in their order, the counts.
local oldest, known = tonumber(ARGV[1]), {}
for i = 3, #ARGV, 2 do
  known[ARGV[i]] = ARGV[i + 1]
end
local found, versions, counts = redis.call('HGETALL', KEYS[1]), {}, {}
for i = 1, #found, 2 do
  local bucket, version = found[i], found[i + 1]
  if tonumber(bucket) < oldest then
    redis.call('HDEL', KEYS[1], bucket)
  else
    versions[#versions + 1] = bucket
    versions[#versions + 1] = version
    if known[bucket] ~= version then
      counts[#counts + 1] = redis.call('HGETALL', ARGV[2] .. bucket)
    end
  end
end
return { versions, counts }
