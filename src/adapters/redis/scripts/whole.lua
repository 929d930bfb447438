#!lua
-- Whether the tallies are whole. KEYS: what declares them so, the witness of a recount. ARGV: what to do; for
-- 'begin' for how many milliseconds the witness is kept, for 'declare' the name of the recount. Both keys hold the name
-- of this server's data, which is another one after a failover or a restart; whatever empties the server takes them
-- with it. Returns that name, and what declares the tallies whole or ''.
local here = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
if ARGV[1] == 'begin' then
  redis.call('SET', KEYS[2], here, 'PX', ARGV[2])
end
if ARGV[1] == 'declare' and redis.call('GET', KEYS[2]) == here then
  redis.call('DEL', KEYS[2])
  redis.call('SET', KEYS[1], here .. ':' .. ARGV[2])
end
local declaration = redis.call('GET', KEYS[1]) or ''
if string.sub(declaration, 1, #here + 1) ~= here .. ':' then
  declaration = ''
end
return { here, declaration }
