/** MD4 (RFC 1320): broken for everything but NTLM, whose hashes are made with it. OpenSSL 3 no longer has it. */
export function md4(message: Uint8Array): Buffer {
  const padded = pad(message);
  const words = new Uint32Array(BLOCK_BYTES / 4);
  let state: State = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
  for (let at = 0; at < padded.length; at += BLOCK_BYTES) {
    for (let i = 0; i < words.length; i++) words[i] = padded.readUInt32LE(at + 4 * i);
    const mixed = ROUNDS.reduce((so, round) => mix(so, words, round), state);
    state = [sum(state[0], mixed[0]), sum(state[1], mixed[1]), sum(state[2], mixed[2]), sum(state[3], mixed[3])];
  }
  const digest = Buffer.alloc(16);
  state.forEach((word, i) => {
    digest.writeUInt32LE(word, 4 * i);
  });
  return digest;
}

type State = readonly [a: number, b: number, c: number, d: number];

interface Round {
  /** The order in which the words of the block are used. */
  readonly order: readonly number[];
  readonly shifts: readonly [number, number, number, number];
  readonly constant: number;
  readonly blend: (x: number, y: number, z: number) => number;
}

const BLOCK_BYTES = 64;

/** RFC 1320 §3.4. */
const ROUNDS: readonly Round[] = [
  {
    order: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    shifts: [3, 7, 11, 19],
    constant: 0,
    blend: (x, y, z) => (x & y) | (~x & z),
  },
  {
    order: [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15],
    shifts: [3, 5, 9, 13],
    constant: 0x5a827999,
    blend: (x, y, z) => (x & y) | (x & z) | (y & z),
  },
  {
    order: [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15],
    shifts: [3, 9, 11, 15],
    constant: 0x6ed9eba1,
    blend: (x, y, z) => x ^ y ^ z,
  },
];

function mix([a, b, c, d]: State, words: Uint32Array, { order, shifts, constant, blend }: Round): State {
  order.forEach((word, step) => {
    const shift = shifts[step % 4] ?? 0;
    const sum = (a + blend(b, c, d) + (words[word] ?? 0) + constant) >>> 0;
    [a, b, c, d] = [d, (sum << shift) | (sum >>> (32 - shift)), b, c];
  });
  return [a, b, c, d];
}

const sum = (x: number, y: number): number => (x + y) >>> 0;

/** One 1 bit, zeros, and the length in bits (RFC 1320 §3.1, §3.2). */
function pad(message: Uint8Array): Buffer {
  const padded = Buffer.alloc(Math.ceil((message.length + 9) / BLOCK_BYTES) * BLOCK_BYTES);
  padded.set(message);
  padded[message.length] = 0x80;
  padded.writeBigUInt64LE(BigInt(message.length) * 8n, padded.length - 8);
  return padded;
}
