#!lua
-- Takes one of a quota, counted by INCR in keys that EXPIRE: the sliding window of two fixed ones. A fixed window begins with
-- the first that is taken in it, and its count lives for two windows: as the current one, and then as the one before, whose
-- rest of life is just what is left of it in the sliding window.
-- KEYS: the count of the current window, that of the one before, and a mark that lives for one window after whatever was
-- taken last. ARGV: limit, window (milliseconds).
-- Returns whether one was taken, how many are left, and after how many milliseconds there will be more: all of them if
-- one was taken, else one.
local current, before, recent = KEYS[1], KEYS[2], KEYS[3]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
-- How long a key still lives; never longer than `life`, also where the clock was set back.
local function rest_of(key, life)
  local rest = redis.call('PTTL', key)
  if rest > life then
    redis.call('PEXPIRE', key, life)
    rest = life
  end
  return math.max(0, rest)
end
local quiet_in = rest_of(recent, window)
if quiet_in == 0 then
  -- Whatever was taken has left the sliding window.
  redis.call('DEL', current, before)
end
local left_of_current = rest_of(current, 2 * window)
if left_of_current > 0 and left_of_current <= window then
  redis.call('RENAME', current, before)
  left_of_current = 0
end
local left_of_before = rest_of(before, window)
local taken = tonumber(redis.call('GET', current) or 0)
local taken_before = left_of_before > 0 and tonumber(redis.call('GET', before)) or 0
local counted = taken + math.floor(taken_before * left_of_before / window)
if counted < limit then
  redis.call('INCR', current)
  if left_of_current == 0 then
    redis.call('PEXPIRE', current, 2 * window)
  end
  redis.call('SET', recent, 1, 'PX', window)
  return { 1, limit - counted - 1, window }
end
local wait
if taken < limit then
  -- So much of the window before has to leave that what is left of it counts as less than what the current one leaves.
  wait = left_of_before - window * (limit - taken) / taken_before
else
  -- The current window is used up: one is there when it has become the one before.
  wait = left_of_current - window
end
-- A count is rounded down, so that it falls just after the moment at which it is even.
return { 0, 0, math.max(1, math.min(window, quiet_in, math.floor(wait) + 1)) }
