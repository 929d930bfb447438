#!lua
-- Takes one of a quota, counted in two windows: the current one, and what is left of the one before. A window begins
-- with the first one that is taken in it; what was taken in the one before is taken for spread evenly over the time in
-- which it was taken, and comes back as that time leaves the sliding window.
-- KEYS: the quota's. ARGV: limit, window (milliseconds), now or '' for the server's time.
-- Returns whether one was taken, how many are left, and after how many milliseconds there will be more: all of them if
-- one was taken, else one.
local limit, window, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local kept = redis.call('HMGET', KEYS[1], 'start', 'last', 'count', 'before_start', 'before_last', 'before')
local start, last, count = tonumber(kept[1]), tonumber(kept[2]), tonumber(kept[3])
local before_start, before_last, before = tonumber(kept[4]), tonumber(kept[5]), tonumber(kept[6])
if not start then
  start, last, count, before_start, before_last, before = now, now, 0, now, now, 0
end
if now < last then
  -- The clock was set back: no time has passed.
  local back = last - now
  start, last, before_start, before_last = start - back, now, before_start - back, before_last - back
end
if now >= start + window then
  before_start, before_last, before = start, last, count
  start, last, count = now, now, 0
end
-- How many of `amount`, taken from `first` to `final`, are within the window that ends at `moment`; what was taken when
-- it began is not.
local function within(moment, first, final, amount)
  local since = moment - window
  if since >= final then
    return 0
  elseif since < first then
    return amount
  end
  return (amount - 1) * (final - since) / (final - first)
end
-- When no more than `rest` of `amount` will be.
local function until_rest(first, final, amount, rest)
  if amount <= 1 then
    return final + window
  end
  return window + math.max(first, final - rest / (amount - 1) * (final - first))
end
local taken = count + within(now, before_start, before_last, before)
local allowed = taken + 1 <= limit + 1e-9
local left, wait = 0, window
if allowed then
  count, last = count + 1, now
  left = math.floor(limit - taken - 1 + 1e-9)
elseif count + 1 <= limit then
  wait = until_rest(before_start, before_last, before, limit - 1 - count) - now
else
  wait = until_rest(start, last, count, limit - 1) - now
  wait = math.max(wait, start + window - now)
end
redis.call('HSET', KEYS[1], 'start', start, 'last', last, 'count', count, 'before_start', before_start,
  'before_last', before_last, 'before', before)
redis.call('PEXPIRE', KEYS[1], 2 * window)
return { allowed and 1 or 0, left, math.max(1, math.min(window, math.ceil(wait - 1e-9))) }
