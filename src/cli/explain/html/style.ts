/** The only style of the page; its hash stands in the policy of the page, so no attribute can add another. */
export const STYLE = `
:root { color-scheme: light dark; --ground: #fff; --ink: #1c2430; --dim: #5a6675; --line: #d4dae2; --card: #f5f7fa;
  --http: #1d5fa8; --tcp: #5a6675; --tls: #2c7a3f; --bad: #b3261e; --band: #fdf3dc; --band-ink: #7a5200; --code: #eef1f5; }
@media (prefers-color-scheme: dark) { :root { --ground: #12161c; --ink: #e4e9f0; --dim: #9aa7b6; --line: #343d49;
  --card: #1a2028; --http: #7db4f0; --tcp: #a9b5c3; --tls: #7ccb8e; --bad: #ff8a80; --band: #2b2413; --band-ink: #f0c674;
  --code: #0d1116; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem 4rem; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.35rem; overflow-wrap: anywhere; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .6rem; }
h3 { font-size: 1rem; margin: 0 0 .4rem; } p { margin: .4rem 0; }
code, pre, .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.lead { color: var(--dim); overflow-wrap: anywhere; }
.outcome { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; border: 1px solid currentColor; }
.outcome.answered { color: var(--tls); } .outcome.failed { color: var(--bad); }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
.wide svg { display: block; min-width: 46rem; width: 100%; height: auto; }
svg text { fill: var(--ink); font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; text-anchor: middle; }
svg text.name { font: 600 14px system-ui, sans-serif; } svg text.time { fill: var(--dim); font-size: 11px; text-anchor: end; }
svg text.time.middle { text-anchor: middle; font-family: system-ui, sans-serif; }
.party { fill: var(--ground); stroke: var(--line); } .life { stroke: var(--line); stroke-dasharray: 3 4; }
.band { fill: var(--band); } svg text.band-label { fill: var(--band-ink); font: 600 12px system-ui, sans-serif; }
.remark { fill: var(--ground); stroke: var(--line); } .remark.bad { stroke: var(--bad); }
.arrow { stroke-width: 1.6; } .number { stroke: none; }
svg text.digit { fill: var(--ground); font: 700 11px system-ui, sans-serif; }
.http .arrow, .link.http { stroke: var(--http); } .http .tip, .http .number { fill: var(--http); }
.tcp .arrow, .link.tcp { stroke: var(--tcp); } .tcp .tip, .tcp .number { fill: var(--tcp); }
.tls .arrow, .link.tls { stroke: var(--tls); } .tls .tip, .tls .number { fill: var(--tls); }
.bad .arrow { stroke: var(--bad); stroke-dasharray: 5 4; } .bad .tip, .bad .number { fill: var(--bad); }
.link { stroke-width: 2; stroke-dasharray: 2 3; } .link.ip { stroke: var(--line); }
.layer { fill: var(--ground); stroke-width: 1.6; } .layer.http { stroke: var(--http); } .layer.tls { stroke: var(--tls); }
.layer.tcp { stroke: var(--tcp); } .layer.ip { stroke: var(--line); } svg text.layer-name { font: 600 13px system-ui, sans-serif; }
.pair { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }
figure { margin: 0; padding: 1rem; border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
figure svg { display: block; width: 100%; max-width: 36rem; height: auto; } figcaption { color: var(--dim); font-size: .92rem; margin-top: .5rem; }
ol.chapters { list-style: none; margin: 0; padding: 0; }
.chapter { display: grid; gap: 1rem 1.5rem; grid-template-columns: minmax(0, 1.25fr) minmax(0, 1fr); padding: 1.2rem 0;
  border-top: 1px solid var(--line); }
.chapter h3 { grid-column: 1 / -1; margin: 0; } .chapter h3 .count { color: var(--dim); font-weight: 400; }
.talk { min-width: 0; } .in-tunnel .talk { border-left: 4px solid var(--band-ink); padding-left: .8rem; }
.talk pre { margin: .3rem 0; padding: .5rem .7rem; background: var(--code); border-radius: 6px; font-size: .82rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.talk .start { font-weight: 700; } .mark { color: var(--http); user-select: none; } .mark.back { color: var(--tls); }
.note { color: var(--dim); font-size: .9rem; margin: .2rem 0; overflow-wrap: anywhere; } .note.red { color: var(--bad); font-weight: 600; }
.note.yellow { color: var(--band-ink); } .note .figure { float: right; padding-left: 1rem; font-variant-numeric: tabular-nums; }
.note.part { padding-left: 1.2rem; } .edge { color: var(--band-ink); font-weight: 600; font-size: .9rem; margin: .5rem 0; }
.chip { display: inline-block; min-width: 1.5em; padding: 0 .35em; border-radius: 1em; background: var(--dim); color: var(--ground);
  font: 700 .72rem/1.6 system-ui, sans-serif; text-align: center; }
.lesson { min-width: 0; font-size: .94rem; } .lesson pre { margin: .5rem 0; padding: .6rem .8rem; background: var(--code);
  border-left: 3px solid var(--http); border-radius: 0 6px 6px 0; font-size: .8rem; overflow-x: auto; }
.lesson .file { color: var(--dim); font-size: .85rem; } a { color: var(--http); }
svg text.phase { text-anchor: start; font-family: system-ui, sans-serif; } .bar { fill: var(--http); } .bar-ground { fill: var(--line); }
@media (max-width: 46rem) { .chapter { grid-template-columns: minmax(0, 1fr); } }
@media print { .wide { overflow: visible; } .chapter, figure { break-inside: avoid; } }
`;
