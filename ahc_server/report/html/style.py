"""The sheet of style. Colours repeat what words and shapes say; light, dark, on paper, and on a phone.

What is drawn by reference (``.dots``, ``.bars``) is matched outside of its place: no rule for it may name a parent.
"""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1a1d21; --muted: #59616b; --rule: #d8dce2; --tint: #f4f5f7; --beyond: #f7e9e7;
  --fail: #b3261e; --warn: #8a5a00; --unknown: #5f4b8b; --pass: #1c6b41; --info: #2b5c8a; --dot: #6d7683;
  --m0: #5b9bc8; --m1: #e4e8ed; --m2: #fddba6; --m3: #f6a04d; --m4: #d45f12; --m5: #8a2d04; --m6: #14171b;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --ink: #e4e7eb; --muted: #9aa3ae; --rule: #2d333b; --tint: #1b1f25; --beyond: #2c1d1f;
    --fail: #ff8f86; --warn: #eeb656; --unknown: #bba8f2; --pass: #7fcf9e; --info: #8fbbe6; --dot: #8b95a3;
    --m0: #3b77a8; --m1: #2a313a; --m2: #57421f; --m3: #8d5a17; --m4: #cb7f20; --m5: #ffb650; --m6: #ffffff;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.5rem 5rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0; font-weight: 650; letter-spacing: -0.015em; }
h2 { font-size: 1.2rem; margin: 3.5rem 0 0.75rem; padding-top: 0.75rem; border-top: 2px solid var(--ink); }
h3 { font-size: 1.05rem; margin: 2.25rem 0 0.25rem; }
h4 { font-size: 0.95rem; margin: 1.25rem 0 0.25rem; }
p { margin: 0.2rem 0; max-width: 46rem; }
a { color: inherit; text-decoration-color: var(--muted); text-underline-offset: 0.15em; }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--info); outline-offset: 2px; }
small, .muted, .check, figcaption, .facts dt { color: var(--muted); }
small { font-size: 0.85em; font-weight: 400; margin-left: 0.6em; }
nav { margin: 0.6rem 0 0; } nav a { margin-right: 1.2rem; }
summary { cursor: pointer; color: var(--muted); margin: 0.4rem 0; }

.counts { display: grid; grid-template-columns: repeat(4, 1fr); gap: 1.5rem; margin: 2rem 0 0.75rem; padding: 0; }
.counts div {
  display: flex; flex-direction: column-reverse; border-top: 3px solid currentColor; padding-top: 0.4rem;
}
.counts dd { margin: 0; font-size: 2rem; line-height: 1.15; font-weight: 600; }
.counts dt { font-size: 0.9rem; }
.fail { color: var(--fail); } .warn { color: var(--warn); } .unknown { color: var(--unknown); }
.pass { color: var(--pass); } .info { color: var(--info); }
.badge {
  display: inline-block; min-width: 3.4em; padding: 0.05em 0.5em; border: 1px solid currentColor; border-radius: 3px;
  font-size: 0.72rem; line-height: 1.5; letter-spacing: 0.05em; text-align: center; text-transform: uppercase;
  vertical-align: 0.1em;
}

table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.5rem 1rem 0.5rem 0; border-top: 1px solid var(--rule); }
th { font-weight: 500; } thead th { color: var(--muted); border-top: 0; font-size: 0.85rem; padding-bottom: 0.2rem; }
td.number, .evidence td:nth-child(-n+4) { white-space: nowrap; }
.findings td:first-child { width: 5.5rem; } .findings td:nth-child(2) { width: 12rem; }
.findings td:nth-child(3) { width: 5.5rem; text-align: right; font-weight: 600; white-space: nowrap; }
.findings p:first-child { margin-top: 0; }
.cause b, .check b { font-size: 0.72rem; letter-spacing: 0.05em; text-transform: uppercase; font-weight: 600; }
.effect { float: right; }
.evidence { margin-top: 0.6rem; font-size: 0.9rem; table-layout: fixed; }
.evidence th:first-child { width: 28%; } .evidence th:last-child { width: 30%; } .evidence .plot { padding-right: 0; }
.names { columns: 9rem auto; list-style: none; margin: 0.5rem 0; padding: 0; font-size: 0.9rem; }

.panel { margin: 1.5rem 0 0; }
.panel figcaption { font-size: 0.85rem; text-transform: uppercase; letter-spacing: 0.06em; margin-bottom: 0.3rem; }
.strip { display: grid; grid-template-columns: 15rem 1fr; align-items: center; border-top: 1px solid var(--rule); }
.strip > svg { grid-column: 2; display: block; }
.strip .label { padding-right: 1rem; font-size: 0.9rem; line-height: 1.25; }
.strip .label small { display: block; margin: 0; color: var(--fail); }
svg text { font-size: 11px; fill: var(--muted); }
svg .name { font-size: 12px; fill: var(--ink); paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
svg .grid { stroke: var(--rule); } svg .zero { stroke: var(--muted); }
svg .beyond { fill: var(--beyond); } svg .bar { stroke: var(--fail); stroke-dasharray: 4 3; }
svg circle { fill: var(--dot); fill-opacity: 0.75; }
.dots { stroke: var(--dot); stroke-opacity: 0.6; stroke-width: 4px; stroke-linecap: round;
  vector-effect: non-scaling-stroke; }
.bars { fill: var(--dot); fill-opacity: 0.55; }
svg path.fail, svg path.warn { fill: currentColor; stroke: var(--paper); }
svg .ring { fill: none; stroke: currentColor; stroke-width: 1.5px; }
svg .own { fill: var(--ink); }
svg .peers { display: block; }
.defs { position: absolute; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.6rem; color: var(--muted); font-size: 0.9rem; margin: 0.5rem 0; }
.legend svg { vertical-align: -3px; margin-right: 0.4em; }

.ramps { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); gap: 0.5rem 1.5rem; }
.sum { fill: none; stroke: var(--ink); stroke-width: 1.5px; } .band { fill: var(--dot); fill-opacity: 0.25; }

.matrix { display: block; max-width: 100%; height: auto; margin: 0.5rem 0; }
.m0 { fill: var(--m0); } .m1 { fill: var(--m1); } .m2 { fill: var(--m2); } .m3 { fill: var(--m3); }
.m4 { fill: var(--m4); } .m5 { fill: var(--m5); } .m6 { fill: var(--m6); }
.p2 { stroke: var(--m2); } .p3 { stroke: var(--m3); } .p4 { stroke: var(--m4); } .p5 { stroke: var(--m5); }
.p6 { stroke: var(--m6); }
svg .mark path, svg .mark rect { fill: currentColor; } svg .mark .box { fill: none; stroke: currentColor; stroke-width: 2px; }
.racks {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(7.5rem, 1fr)); gap: 1.5rem 1rem; margin-top: 0.75rem;
}
.rack { border-top: 3px solid var(--muted); font-size: 0.85rem; } .rack.apart { border-top: 3px dotted var(--rule); }
.rack > svg { display: block; } .rack b { display: block; } .rack small { display: block; margin: 0; }
.rack ul { list-style: none; margin: 0.3rem 0 0; padding: 0; }
.cells { display: flex; flex-wrap: wrap; gap: 2px; margin-top: 0.3rem; }
.cells > * {
  width: 14px; height: 14px; border: 1px solid currentColor; border-radius: 2px; font: 9px/12px sans-serif;
  text-align: center; text-decoration: none; color: var(--dot);
}
.cells .fail { color: var(--fail); } .cells .warn { color: var(--warn); } .cells .unknown { color: var(--unknown); }
.uplink { stroke: var(--dot); stroke-width: 3px; } .uplink.unmeasured { stroke: var(--rule); }
.uplink.fail { stroke: var(--fail); stroke-dasharray: 4 3; } .uplink.warn { stroke: var(--warn); stroke-dasharray: 4 3; }
.proof { margin-top: 0.6rem; font-size: 0.9rem; }
.proof th:first-child { width: 14rem; } .proof td:nth-child(2), .proof td:nth-child(3) { width: 6rem; }
.element { border-top: 1px solid var(--rule); margin-top: 1.5rem; }

.sheep { border-top: 1px solid var(--rule); margin-top: 2.5rem; content-visibility: auto; contain-intrinsic-size: auto 30rem; }
.sheep h3 { font-size: 1.25rem; margin-top: 1rem; }
.facts {
  display: grid; grid-template-columns: 6rem 1fr; gap: 0.1rem 1rem; margin: 1.25rem 0 0; padding: 0.8rem 1rem;
  background: var(--tint); font-size: 0.9rem;
}
.facts dt { grid-column: 1; } .facts dd { grid-column: 2; margin: 0; }
.notes { padding-left: 1.2rem; }

@media (max-width: 46rem) {
  body { padding: 1.25rem 1rem 3rem; font-size: 16px; }
  .counts { gap: 0.8rem; } .counts dd { font-size: 1.5rem; }
  .strip { grid-template-columns: 1fr; } .strip > svg { grid-column: 1; }
  .strip .label { padding: 0.4rem 0 0; } .strip .label small { display: inline; margin-left: 0.6em; }
  svg .minor { display: none; }
  .findings, .findings tbody, .findings tr, .findings td { display: block; width: auto; }
  .findings thead { display: none; }
  .findings tr { border-top: 1px solid var(--rule); padding: 0.7rem 0; }
  .findings td { border: 0; padding: 0; }
  .findings td:nth-child(-n+3) { display: inline-block; width: auto; margin-right: 0.6rem; }
  .evidence, .evidence tbody, .evidence tr, .evidence th, .evidence td { display: block; width: auto; }
  .evidence thead { display: none; }
  .evidence tr { border-top: 1px solid var(--rule); padding: 0.5rem 0; }
  .evidence th, .evidence td { border: 0; padding: 0; }
  .evidence td:nth-child(-n+4) { display: inline; margin-right: 1rem; } .evidence .plot { width: auto; margin-top: 0.3rem; }
  .proof { display: block; overflow-x: auto; }
  .evidence td:nth-child(3)::before { content: "expected "; color: var(--muted); }
}
@media print {
  body { font-size: 10pt; max-width: none; padding: 0; }
  nav { display: none; }
  .sheep { break-before: page; content-visibility: visible; }
  .strip, tr, article { break-inside: avoid; }
  details::details-content { content-visibility: visible; display: block; }
}
""".strip()
