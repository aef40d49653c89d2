// What a container engine asks of a Viaduct in its container, through the control socket: without a shell, curl or the token.
//   control.mjs ready     exit code 0: it serves; 1: it starts, drains or is not there
//   control.mjs drain     begins the drain; the process ends by the signal that follows
import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';

const ANSWER_MS = 2_000;

const CALLS = {
  ready: { method: 'GET', path: '/readyz', status: 200 },
  drain: { method: 'POST', path: '/api/drain', status: 202, body: '{"exit": false}' },
};

/** The sockets of the proxies that have written a record; a record may be older than the container. */
function controlSockets() {
  const folder = join(process.env.XDG_STATE_HOME ?? join(process.env.HOME ?? '/', '.local/state'), 'viaduct', 'instances');
  return readdirSync(folder)
    .filter((name) => /^\d+\.json$/.test(name))
    .flatMap((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')).control ?? []);
}

function statusOf(socketPath, { method, path, body }) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length };
    const sent = request({ socketPath, method, path, headers, timeout: ANSWER_MS }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode));
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer in ${ANSWER_MS} ms`)));
    sent.on('error', reject);
    sent.end(body);
  });
}

async function main([verb = '']) {
  const call = CALLS[verb];
  if (call === undefined) throw new Error('usage: control.mjs ready | drain');
  const answers = await Promise.allSettled(controlSockets().map((path) => statusOf(path, call)));
  const statuses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  if (statuses.includes(call.status)) return 0;
  throw new Error(statuses.length === 0 ? 'no Viaduct answers here' : `it answers ${statuses.join(', ')}`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`control: ${error.message}\n`);
  process.exitCode = 1;
}
