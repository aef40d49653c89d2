import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** The dashboard: one script, one style sheet and one icon beside `index.html`, so that the policy of the page can be `'self'`. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  // Relative: the page works behind a reverse proxy that serves it under a path.
  base: './',
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: fileURLToPath(new URL('../dist/dashboard', import.meta.url)),
    emptyOutDir: true,
    target: ['chrome123', 'firefox121', 'safari17.5'],
    // A data: URL would have to be allowed by the policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
