#include "report/style.h"

namespace gridspot::report {

// The colours of series are Okabe and Ito's, which people with any kind of colour vision tell apart; darkened where the
// ground is light, lightened where it is dark, until each has a contrast of at least 3 with it. The order puts those
// that differ most first.
const char* const page_style = R"css(:root {
  color-scheme: light dark;
  --ground: #ffffff; --panel: #f5f6f8; --ink: #16191d; --muted: #5a626c; --rule: #d5d9df; --accent: #0072b2;
  --on-accent: #ffffff;
  --c0: #0072b2; --c1: #c04e00; --c2: #00805d; --c3: #a8487f; --c4: #8a6d00; --c5: #2b86bd; --c6: #6b4fa3; --c7: #555b63;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171b; --panel: #1d2126; --ink: #e8eaed; --muted: #a3abb5; --rule: #373d45; --accent: #56b4e9;
    --on-accent: #10131a;
    --c0: #56b4e9; --c1: #ff8f3f; --c2: #2cc79a; --c3: #e39ac3; --c4: #f0e442; --c5: #9ccfee; --c6: #b9a2ea; --c7: #b6bcc4;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 20px 16px 48px; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 1.25rem; margin: 40px 0 8px; padding-top: 12px; border-top: 1px solid var(--rule); }
h3 { font-size: 1.05rem; margin: 28px 0 4px; }
p, ul { margin: 6px 0 12px; max-width: 75ch; }
ul { padding-left: 22px; }
.facts, figcaption, .rule, footer { color: var(--muted); font-size: 0.875rem; }
code { font-family: ui-monospace, monospace; font-size: 0.92em; overflow-wrap: anywhere; }
.panel { background: var(--panel); border-radius: 8px; padding: 6px 18px; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 360px), 1fr)); gap: 8px 28px; }
.grid > figure, .gallery > figure { min-width: 0; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 12px; }
.worst { grid-template-columns: repeat(auto-fill, minmax(min(100%, 240px), 1fr)); }
figure { margin: 12px 0; }
figcaption { margin-top: 4px; }
svg { display: block; width: 100%; height: auto; }
.chart { max-width: 600px; }
.scroll { overflow-x: auto; margin: 8px 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9375rem; }
th, td { padding: 4px 10px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; }
thead th { color: var(--muted); vertical-align: bottom; }
tbody th, .name { text-align: left; }
tbody th:first-child, thead th:first-child { padding-left: 0; }
.best { font-weight: 700; }
details { border-top: 1px solid var(--rule); padding: 8px 0; }
summary { cursor: pointer; font-weight: 600; padding: 4px 0; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 4px 0; font-size: 0.875rem; list-style: none; padding: 0; }
.legend svg { display: inline-block; width: 26px; height: 10px; margin-right: 6px; vertical-align: middle; }
.chart text { font-family: system-ui, sans-serif; font-size: 12.5px; fill: var(--ink); }
.chart .tick, .chart .muted { fill: var(--muted); }
.chart .axis { fill: var(--muted); font-weight: 600; }
.chart .small { font-size: 11.5px; }
.chart .strong, .chart .name { font-weight: 600; }
.chart .middle { text-anchor: middle; }
.chart .end { text-anchor: end; }
.chart .on { fill: var(--on-accent); }
line.gridline { stroke: var(--rule); stroke-width: 1; }
line.base { stroke: var(--muted); stroke-width: 1; }
line.mark { stroke: var(--muted); stroke-width: 1; stroke-dasharray: 2 3; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.faint { stroke: var(--muted); stroke-width: 1; opacity: 0.55; }
.dashed { stroke-dasharray: 6 4; }
.bar, .cell { fill: var(--accent); }
.s0 { stroke: var(--c0); } .s1 { stroke: var(--c1); } .s2 { stroke: var(--c2); } .s3 { stroke: var(--c3); }
.s4 { stroke: var(--c4); } .s5 { stroke: var(--c5); } .s6 { stroke: var(--c6); } .s7 { stroke: var(--c7); }
.f0 { fill: var(--c0); } .f1 { fill: var(--c1); } .f2 { fill: var(--c2); } .f3 { fill: var(--c3); }
.f4 { fill: var(--c4); } .f5 { fill: var(--c5); } .f6 { fill: var(--c6); } .f7 { fill: var(--c7); }
.chart .t0 { fill: var(--c0); } .chart .t1 { fill: var(--c1); } .chart .t2 { fill: var(--c2); }
.chart .t3 { fill: var(--c3); } .chart .t4 { fill: var(--c4); } .chart .t5 { fill: var(--c5); }
.chart .t6 { fill: var(--c6); } .chart .t7 { fill: var(--c7); }
.store { position: absolute; }
.canvas { border-radius: 4px; background: #000; }
.canvas image { image-rendering: auto; }
.canvas rect { fill: none; }
.canvas .under { stroke: #000; stroke-opacity: 0.55; }
.canvas .truth { stroke: #f0e442; }
.canvas .right { stroke: #56b4e9; }
.canvas .wrong { stroke: #ff7a1a; }
.canvas text { font-family: system-ui, sans-serif; font-weight: 600; paint-order: stroke; stroke: #000; stroke-opacity: 0.8; }
.canvas .truth-text { fill: #f0e442; }
.canvas .right-text { fill: #8fd0f7; }
.canvas .wrong-text { fill: #ff9d52; }
@media (max-width: 480px) {
  .gallery { grid-template-columns: repeat(2, 1fr); gap: 8px; }
  .worst { grid-template-columns: 1fr; }
  th, td { padding: 4px 8px; }
  .chart text { font-size: 14px; }
  .chart .small { font-size: 12.5px; }
}
@media print {
  details > *:not(summary) { display: block; }
  figure, tr { break-inside: avoid; }
}
)css";

}  // namespace gridspot::report
