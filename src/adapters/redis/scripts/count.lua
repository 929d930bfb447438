#!lua
-- Counts tallies. KEYS: the events that were counted, the last one that was forgotten, the versions of each window's
-- buckets, then the buckets. ARGV: this call's name, how many events are remembered at least and at most, the first
-- event of the time in which they are remembered, how many windows there are; then of each tally the event, the field,
-- the amount, and for each window the place of the bucket among KEYS, its number, and for how many milliseconds it is kept.
-- Returns what names the history of this server's data.
local SEEN, FORGOTTEN, windows = KEYS[1], KEYS[2], tonumber(ARGV[5])
local least, most, horizon = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local floor = redis.call('GET', FORGOTTEN) or ''
for i = 6, #ARGV, 3 + 3 * windows do
  local event, field, amount = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  -- Whoever counts goes by id: what is below the last that was forgotten was counted before.
  if event > floor and redis.call('ZADD', SEEN, 'NX', 0, event) == 1 then
    for window = 1, windows do
      local at = i + 3 * window
      local bucket = KEYS[tonumber(ARGV[at])]
      redis.call('HINCRBY', bucket, field, amount)
      redis.call('PEXPIRE', bucket, ARGV[at + 2])
      redis.call('HSET', KEYS[2 + window], ARGV[at + 1], ARGV[1])
      redis.call('PEXPIRE', KEYS[2 + window], ARGV[at + 2])
    end
  end
end
local excess = redis.call('ZCARD', SEEN)
while excess > least do
  local first = redis.call('ZRANGE', SEEN, 0, 0)[1]
  if excess <= most and first >= horizon then
    break
  end
  redis.call('ZREM', SEEN, first)
  floor, excess = first, excess - 1
end
if floor ~= '' then
  redis.call('SET', FORGOTTEN, floor)
end
return string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
