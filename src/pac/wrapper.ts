import type { Authority } from '../contracts/request.ts';
import type { PacState } from './script.ts';

/**
 * The script for browsers: the same results, with this proxy in place of every other. Without a script all requests go
 * through this proxy. `proxy`: its address for the browser, and `by`
 * what it speaks there.
 */
export function wrappedPac(state: PacState, proxy: Authority, by: 'PROXY' | 'HTTPS' = 'PROXY'): string {
  const host = proxy.host.includes(':') ? `[${proxy.host}]` : proxy.host;
  const us = JSON.stringify(`${by} ${host}:${proxy.port}`);
  if (state.at !== 'script') return `function FindProxyForURL(url, host) {\n  return ${us};\n}\n`;
  return `${BEFORE.replace('HERE', () => us)}\n${state.script.text}\n${BEHIND}`;
}

/**
 * The script runs inside a function. When it calls itself by its own name there it gets its own results; the browser
 * calls the function of the global object, which is the wrapped one. No state is kept while a script runs: Chromium ends
 * a run that looks up an unknown name, without running any `finally`, and calls it again in the same globals. So does our
 * own engine.
 *
 * The two outer variables are for scripts that assign without declaring. The accessors behind the script return the
 * current value of these names: `const` and `let` too, and functions that the script assigns later, even in a run that is
 * ended. `'use strict'` stays the first statement of the script, and the line breaks around it end its comments. A text
 * that was parsed as a whole script cannot reach beyond its end.
 */
const BEFORE = `(function (load) {
  var us = HERE;
  var world = this;
  var own = load.call(world);
  function through(result) {
    if (typeof result !== 'string') return result;
    var routes = [];
    result.split(';').forEach(function (entry) {
      var text = entry.trim();
      var route = /^direct$/i.test(text) ? 'DIRECT' : us;
      if (text !== '' && routes.indexOf(route) < 0) routes.push(route);
    });
    return routes.join('; ');
  }
  function wrap(name, original) {
    if (typeof original.get() !== 'function' && typeof world[name] === 'function') original.set(world[name]);
    if (typeof original.get() !== 'function') return;
    function wrapped() {
      return through(original.get().apply(world, arguments));
    }
    Object.defineProperty(world, name, {
      get: function () { return wrapped; },
      set: original.set,
      configurable: true
    });
  }
  wrap('FindProxyForURLEx', own.ex);
  wrap('FindProxyForURL', own.plain);
  if (typeof own.plain.get() !== 'function') wrap('FindProxyForURL', own.ex);
}).call(this, function () {
  var FindProxyForURL, FindProxyForURLEx;
  return (function () {`;

const BEHIND = `;return {
  plain: {
    get: function () { return FindProxyForURL; },
    set: function (value) { FindProxyForURL = value; }
  },
  ex: {
    get: function () { return FindProxyForURLEx; },
    set: function (value) { FindProxyForURLEx = value; }
  }
};
  }).call(this);
});
`;
