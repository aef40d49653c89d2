import { createHash } from 'node:crypto';

/** A script that the store runs as one step. Its first key is always the epoch of its slot. */
export interface StoreScript {
  readonly name: string;
  readonly text: string;
  readonly sha1: string;
}

/**
 * What all scripts begin with. `now` is the store's clock, in milliseconds: the clocks of the instances may differ. The
 * epoch is when the store began to count: it is lost with everything else, so that a young one means that what other
 * instances hold may not be known yet.
 */
const PRELUDE = `
local function whole(number) return number - number % 1 end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + whole(tonumber(time[2]) / 1000)
-- What was kept, as a number from least to most; a NaN is none. Anything else is as good as lost: others may write, too.
local function kept(value, least, most)
  local number = tonumber(value)
  if number and number >= least and number <= most then return number end
end
-- After a fail-over to a server whose clock is behind, a time may lie ahead.
local function begun(value)
  local since = kept(value, 0, 1e15)
  return since and math.min(since, now)
end
local epoch = kept(redis.call('GET', KEYS[1]), 0, now)
if not epoch then
  epoch = now
  redis.call('SET', KEYS[1], string.format('%.0f', now))
end
redis.call('PEXPIRE', KEYS[1], 86400000)
local input = cjson.decode(ARGV[1])
local function text(number) return string.format('%.3f', number) end
`;

export const script = (name: string, body: string): StoreScript => {
  const text = PRELUDE + body;
  let sha1: string | undefined;
  return {
    name,
    text,
    // When it is sent: most proxies have no store.
    get sha1() {
      sha1 ??= createHash('sha1').update(text).digest('hex');
      return sha1;
    },
  };
};
