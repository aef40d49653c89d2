/** Published Digest responses (RFC 7616, 2617, 2069, curl's tests) and computed ones, each through the public codec. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as z from 'zod';
import { Secret } from '../../src/contracts/secret.ts';
import { parseChallenges } from '../../src/protocol/http-auth/challenge.ts';
import { digestCredentials, strongestDigest } from '../../src/protocol/http-auth/digest.ts';

const vector = z.object({
  id: z.string(),
  algorithm: z.string(),
  inputs: z.object({
    user: z.string(),
    realm: z.string(),
    pw: z.string(),
    nonce: z.string(),
    method: z.string(),
    uri: z.string(),
    nc: z.string().optional(),
    cnonce: z.string().optional(),
    qop: z.string().optional(),
    body: z.string().optional(),
  }),
  response: z.string(),
  userhash: z.string().optional(),
  opaque: z.string().optional(),
});
type Vector = z.infer<typeof vector>;

/** The RFC prints SHA-512 cut to 256 bits where it means SHA-512/256 (erratum 4897): an implementation that agrees with it is wrong. */
const MISPRINTS = new Map([
  ['rfc7616-3.9.2-as-printed', '3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5'],
]);
/** The misprint by its own name, which no server may send: such a challenge is not answered. */
const UNKNOWN_ALGORITHM: ReadonlySet<string> = new Set(['SHA-512-trunc']);

const text = readFileSync(new URL('digest-vectors.json', import.meta.url), 'utf8');
const { vectors, counts } = z
  .object({ vectors: z.array(vector), counts: z.object({ total: z.number() }) })
  .parse(JSON.parse(text));

const quote = (value: string): string => `"${value.replace(/["\\]/g, '\\$&')}"`;

/** The answer to the challenge that a server would have sent, as parameters. */
function answerTo({ algorithm, inputs, userhash, opaque }: Vector): ReadonlyMap<string, string> | undefined {
  const value = [
    `Digest realm=${quote(inputs.realm)}, nonce=${quote(inputs.nonce)}, algorithm=${algorithm}`,
    ...(inputs.qop === undefined ? [] : [`qop="${inputs.qop}"`]),
    ...(opaque === undefined ? [] : [`opaque=${quote(opaque)}`]),
    ...(userhash === undefined ? [] : ['userhash=true']),
  ].join(', ');
  const challenge = strongestDigest(parseChallenges([value]));
  const answer =
    challenge &&
    digestCredentials(
      challenge,
      {
        method: inputs.method,
        uri: inputs.uri,
        count: Number.parseInt(inputs.nc ?? '1', 16),
        cnonce: inputs.cnonce ?? '',
        ...(inputs.body === undefined ? {} : { body: Buffer.from(inputs.body) }),
      },
      { user: inputs.user, password: new Secret(inputs.pw) },
    );
  return answer === undefined ? undefined : parseChallenges([answer])[0]?.params;
}

test('every vector is here', () => assert.equal(vectors.length, counts.total));

for (const one of vectors) {
  test(`digest ${one.id}`, () => {
    const answer = answerTo(one);
    if (UNKNOWN_ALGORITHM.has(one.algorithm)) {
      assert.equal(answer, undefined);
      return;
    }
    const right = MISPRINTS.get(one.id);
    if (right !== undefined) assert.notEqual(answer?.get('response'), one.response);
    assert.equal(answer?.get('response'), right ?? one.response);
    assert.equal(answer?.get('uri'), one.inputs.uri);
    assert.equal(answer?.get('opaque'), one.opaque);
    if (one.inputs.qop !== undefined) assert.equal(answer?.get('nc'), one.inputs.nc);
    if (one.userhash !== undefined) assert.equal(answer?.get('username'), one.userhash);
  });
}
