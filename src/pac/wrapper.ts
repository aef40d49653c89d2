import type { Authority } from '../core/request.ts';
import type { PacState } from './script.ts';

/**
 * The script for browsers: the same answers, but every way through a proxy leads through this one. Without a script
 * everything does. `proxy` is where the browser reaches us.
 */
export function wrappedPac(state: PacState, proxy: Authority): string {
  const host = proxy.host.includes(':') ? `[${proxy.host}]` : proxy.host;
  const us = JSON.stringify(`PROXY ${host}:${proxy.port}`);
  if (state.at !== 'script') return `function FindProxyForURL(url, host) {\n  return ${us};\n}\n`;
  return `${state.script.text}\n${WRAPPER.replace('HERE', () => us)}`;
}

/**
 * Behind the script, so that its `'use strict'` stays its first statement, and on a line of its own, behind a semicolon:
 * what was parsed as a whole script cannot reach beyond its end.
 *
 * Browsers ask the global object for `FindProxyForURL`; a script that declares it with `const` or `let` has it elsewhere,
 * where a name finds it and assignments would fail. A script may also put another function in its place while it runs,
 * or call itself and look at the answer, which must then be its own.
 */
const WRAPPER = `;(function (world) {
  var us = HERE;
  var depth = 0;
  function through(answer) {
    if (typeof answer !== 'string') return answer;
    var ways = [];
    answer.split(';').forEach(function (entry) {
      var text = entry.trim();
      var way = /^direct$/i.test(text) ? 'DIRECT' : us;
      if (text !== '' && ways.indexOf(way) < 0) ways.push(way);
    });
    return ways.join('; ');
  }
  function wrap(name, current) {
    var inner = current();
    if (typeof inner !== 'function') return;
    function wrapped() {
      if (depth > 0) return inner.apply(world, arguments);
      depth += 1;
      try {
        return through(inner.apply(world, arguments));
      } finally {
        depth -= 1;
        var now = current();
        if (now !== wrapped && typeof now === 'function') inner = now;
        install(name, wrapped);
      }
    }
    install(name, wrapped);
  }
  function install(name, wrapped) {
    if (world[name] !== wrapped) Object.defineProperty(world, name, { value: wrapped, writable: true });
  }
  wrap('FindProxyForURLEx', function () { return typeof FindProxyForURLEx === 'undefined' ? undefined : FindProxyForURLEx; });
  wrap('FindProxyForURL', function () {
    if (typeof FindProxyForURL !== 'undefined') return FindProxyForURL;
    return typeof FindProxyForURLEx === 'undefined' ? undefined : FindProxyForURLEx;
  });
})(this);
`;
