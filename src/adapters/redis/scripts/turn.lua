#!lua
-- Who publishes a list. KEYS: the list that was last told, a pause between two turns. ARGV: the list, how long the
-- pause is (milliseconds); or to note that the list was told: the list, 'told', for how long that is remembered.
-- Returns 'granted', 'told' or 'later'.
if ARGV[2] == 'told' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
  return 'told'
end
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return 'told'
end
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) then
  return 'granted'
end
return 'later'
