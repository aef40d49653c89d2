import { script } from './script.ts';

/** Registers an instance until its lease ends, counts those that live, and tells whether it was registered until now. */
export const HELLO = script(
  'hello',
  `
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. text(now))
local added = 0
if input.leaves then redis.call('ZREM', KEYS[2], input.me)
else added = redis.call('ZADD', KEYS[2], text(now + input.leaseMs), input.me) end
redis.call('PEXPIRE', KEYS[2], 86400000)
return { text(epoch), redis.call('ZCARD', KEYS[2]), 1 - added }
`,
);

/**
 * One report of an instance about several limits, and the leases that it gets for them. For each: \`rate\` and \`burst\` of
 * the configuration, \`issued\` (bytes that its lease has given it since its last report), \`gates\` that wait, \`demand\` in
 * bytes per second (-1: more than it gets), \`background\` gates, \`held\`, the rate that it has now, and \`returns\`: it
 * could not reach the store until just now.
 *
 * \`c\` is the credit of the limit: it grows at the rate, and falls by all that was issued. What live leases have given
 * since they were reported is \`open\`. The sum of live leases never exceeds the rate; what they leave is handed out once, as
 * \`bytes\`, so that the long-run mean is exact.
 *
 * A store that has just begun to count, and an instance that returns, do not know what others hold: meanwhile no more is
 * granted than is held, and nothing is saved up or owed for a time that was not counted.
 */
export const REPORT = script(
  'report',
  `
local RESERVE = 15 / 16
local LEASE_MS_MAX = 10000
local function lease(text)
  local isRead, it = pcall(cjson.decode, text)
  if not isRead or type(it) ~= 'table' then return nil end
  local isWhole = kept(it.rate, 0, 1e15) and kept(it.sinceMs, 0, now + LEASE_MS_MAX)
    and kept(it.untilMs, 0, now + LEASE_MS_MAX) and kept(it.gates, 0, 1e9)
    and kept(it.demand, -1, 1e15) and kept(it.background, 0, 1e9)
  if isWhole then return it end
end
local replies = {}
local isLearning = now - epoch < input.learnMs
for index, one in ipairs(input.limits) do
  local key = KEYS[index + 1]
  local raw = redis.call('HGETALL', key)
  local credit, at
  local others = {}
  local open = 0
  local taken = 0
  for field = 1, #raw, 2 do
    local name, value = raw[field], raw[field + 1]
    if name == 'c' then credit = kept(value, -1e15, 1e15)
    elseif name == 'at' then at = kept(value, 0, 1e15)
    elseif name ~= 'i:' .. input.me then
      local other = lease(value)
      if other then
        other.name = name
        others[#others + 1] = other
      else redis.call('HDEL', key, name) end
    end
  end
  if not credit or not at then
    credit = isLearning and 0 or one.burst
    at = now
  end
  credit = credit + one.rate * math.max(0, now - at) / 1000 - one.issued
  local live = {}
  for _, other in ipairs(others) do
    local givenMs = math.max(0, math.min(now, other.untilMs) - other.sinceMs)
    if other.untilMs < now then
      credit = credit - other.rate * givenMs / 1000
      redis.call('HDEL', key, other.name)
    else
      open = open + other.rate * givenMs / 1000
      taken = taken + other.rate
      live[#live + 1] = other
    end
  end
  local isSettling = isLearning or one.returns
  if isLearning or (one.returns and credit > open) then credit = open end
  if credit - open > one.burst then credit = one.burst + open end
  if credit - open < -2 * one.rate then credit = open - 2 * one.rate end
  local free = credit - open

  local grant, bytes = 0, 0
  if one.leaves then
    redis.call('HDEL', key, 'i:' .. input.me)
  else
    local usable = one.rate * math.max(0.9, math.min(1, 1 + free / (2 * one.rate)))
    local claims = { { mine = true, gates = one.gates, demand = one.demand, background = one.background } }
    for _, other in ipairs(live) do claims[#claims + 1] = other end
    local wanting, gates, background = {}, 0, 0
    for _, claim in ipairs(claims) do
      claim.share = 0
      background = background + claim.background
      if claim.demand ~= 0 then
        claim.weight = math.max(1, claim.gates)
        gates = gates + claim.weight
        wanting[#wanting + 1] = claim
      end
    end
    local level = function(claim) return claim.demand < 0 and math.huge or claim.demand / claim.weight end
    table.sort(wanting, function(a, b) return level(a) < level(b) end)
    local rest, weights, backlogged = usable * RESERVE, gates, 0
    for _, claim in ipairs(wanting) do
      local fair = rest * claim.weight / weights
      claim.share = claim.demand < 0 and fair or math.min(claim.demand, fair)
      if claim.demand < 0 then backlogged = backlogged + claim.weight end
      rest = rest - claim.share
      weights = weights - claim.weight
    end
    for _, claim in ipairs(claims) do
      if background > 0 then claim.share = claim.share + rest * claim.background / background
      else claim.share = claim.share + rest / #claims end
    end
    grant = math.max(0, math.min(claims[1].share, usable - taken))
    if isSettling then grant = math.min(grant, one.held) end
    if free > 0 and not isSettling then
      if one.demand < 0 then bytes = free * math.max(1, one.gates) / backlogged
      elseif one.background > 0 and backlogged == 0 then bytes = free / 2 * one.background / background end
      bytes = whole(bytes)
      credit = credit - bytes
    end
    redis.call('HSET', key, 'i:' .. input.me, cjson.encode({
      rate = grant, sinceMs = now, untilMs = now + input.leaseMs,
      gates = one.gates, demand = one.demand, background = one.background,
    }))
  end
  redis.call('HSET', key, 'c', text(credit), 'at', text(now))
  redis.call('PEXPIRE', key, 60000 + math.ceil(2000 * one.burst / one.rate))
  replies[index] = { text(grant), text(bytes) }
end
return { text(epoch), isLearning and 1 or 0, replies }
`,
);

/**
 * What one instance has learned for all: \`field\` is read, or written, or all of them are removed. Beyond \`max\` fields no
 * new one is kept: each would cost memory for as long as the store lives.
 */
export const TABLE = script(
  'table',
  `
local key = KEYS[2]
if input.clear then redis.call('DEL', key)
elseif input.value == '' then redis.call('HDEL', key, input.field)
elseif input.value then
  if redis.call('HEXISTS', key, input.field) == 1 or redis.call('HLEN', key) < input.max then
    redis.call('HSET', key, input.field, input.value)
  end
  redis.call('PEXPIRE', key, 2592000000)
end
return { text(epoch), redis.call('HGET', key, input.field) or '' }
`,
);
