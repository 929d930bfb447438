-- Looks whether the channel has an epoch here. If not, leaves a witness of having looked, named by ARGV[1] and kept for
-- ARGV[2] milliseconds: whatever empties this server, or puts another one in its place, takes the witness with it.
-- ARGV[3]: histories that were left. Returns 1 if there is an epoch, else 0.
if stream_here(ARGV[3]) then
  return 1
end
if redis.call('HEXISTS', META, 'epoch') == 1 then
  redis.call('DEL', META, STREAM, EVENTS)
end
redis.call('HSET', META, 'w:' .. ARGV[1], replid())
redis.call('PEXPIRE', META, ARGV[2], 'NX')
return 0
