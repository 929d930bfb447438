-- Begins an epoch, unless there is one or the witness is gone. ARGV: witness, epoch, ttl, meta ttl, histories that were
-- left, the last version that was told (or '') and its epoch, then event, body and time of each publication of earlier
-- epochs that it begins with. Returns nothing of use: whoever asked goes on with what there is now.
if stream_here(ARGV[5]) then
  return 0
end
local here = replid()
if redis.call('HGET', META, 'w:' .. ARGV[1]) ~= here then
  return 0
end
redis.call('DEL', META, STREAM, EVENTS)
local top = 0
for i = 8, #ARGV, 3 do
  top = top + 1
  append(top, ARGV[i + 2], ARGV[i], ARGV[i + 1])
end
redis.call('HSET', META, 'epoch', ARGV[2], 'top', text(top), 'seeded', text(top), 'replid', here)
if ARGV[6] ~= '' then
  redis.call('HSET', META, 'version', ARGV[6], 'version_epoch', ARGV[7])
end
age(ARGV[2], here, ARGV[5])
keep(ARGV[3], ARGV[4])
return 1
