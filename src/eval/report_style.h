// How the report looks: the style sheet, the one that the demo's page has as far as they share
// anything.
#pragma once

#include <string_view>

namespace vsearch::report {

inline constexpr std::string_view kStyle = R"css(
html { color-scheme: light dark; -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
:root {
  --page: #f6f7f9; --card: #ffffff; --line: #e2e5ea; --text: #16191d; --soft: #5b6470;
  --accent: #1d5fd0; --right: #15803d; --wrong: #c81e2e; --warn: #8a5a00; --back: #eef0f3;
  --s1: #1d5fd0; --s2: #b8500a; --s3: #15803d; --s4: #8b3fc4; --s5: #0e7490; --s6: #5b6470;
  --photo: #ffffff;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #101317; --card: #191d23; --line: #2c323b; --text: #e9ecf0; --soft: #9aa4b1;
    --accent: #6ea3ff; --right: #43c47e; --wrong: #ff6f7a; --warn: #e8b04a; --back: #242a32;
    --s1: #6ea3ff; --s2: #f2a25c; --s3: #43c47e; --s4: #c792ea; --s5: #4fc3d9; --s6: #9aa4b1;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.55 Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
    "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1080px; margin: 0 auto; padding: 56px 24px 40px; }
h1 {
  margin: 0; font-size: clamp(28px, 5vw, 46px); line-height: 1.1; letter-spacing: -0.025em;
  font-weight: 700; text-wrap: balance; overflow-wrap: anywhere;
}
h2 {
  margin: 0 0 6px; font-size: 25px; line-height: 1.25; letter-spacing: -0.015em; font-weight: 650;
  overflow-wrap: anywhere;
}
h3 { margin: 36px 0 4px; font-size: 18px; line-height: 1.3; font-weight: 650; overflow-wrap: anywhere; }
p { margin: 0; max-width: 74ch; overflow-wrap: anywhere; }
a { color: var(--accent); }
section { margin-top: 64px; }
section > p { color: var(--soft); }
.brand { color: var(--accent); font-weight: 600; margin-bottom: 10px; }
.lead { margin-top: 16px; font-size: 19px; line-height: 1.5; }
.facts { margin-top: 14px; color: var(--soft); font-size: 14px; max-width: none; }
.facts span + span::before { content: "·"; margin: 0 9px; }
.note { display: block; color: var(--soft); font-weight: 400; }
.remark { margin-top: 12px; color: var(--soft); font-size: 14px; }

.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 12px; margin: 34px 0 0; }
.figure { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 16px 18px; min-width: 0; }
.figure dt { color: var(--soft); font-size: 14px; overflow-wrap: anywhere; }
.figure dd {
  margin: 2px 0 0; font-size: 29px; line-height: 1.25; font-weight: 650; letter-spacing: -0.02em;
  font-variant-numeric: tabular-nums;
}
.figure .note { font-size: 13px; line-height: 1.4; letter-spacing: 0; margin-top: 3px; overflow-wrap: anywhere; }

.verdicts { list-style: none; display: flex; flex-wrap: wrap; gap: 10px; margin: 20px 0 0; padding: 0; }
.verdicts a {
  display: flex; align-items: center; gap: 10px; padding: 7px 8px 7px 14px; border-radius: 12px; font-size: 15px;
  background: var(--card); border: 1px solid var(--line); color: var(--text); text-decoration: none;
}
.badge {
  display: inline-flex; align-items: center; gap: 6px; padding: 2px 10px; border-radius: 99px;
  border: 1.5px solid currentColor; font-size: 13px; line-height: 1.5; font-weight: 650;
  letter-spacing: 0; white-space: nowrap; vertical-align: 2px;
}
.badge.sound { color: var(--right); }
.badge.noteworthy { color: var(--warn); border-style: dashed; }
.badge.fault { color: var(--card); background: var(--wrong); border-color: var(--wrong); }
.badge.unmeasured { color: var(--soft); border-style: dotted; }

nav { margin-top: 28px; }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 6px 20px; margin: 0; padding: 0; font-size: 15px; }

.charts { columns: 2 420px; column-gap: 16px; margin-top: 16px; }
.charts > .panel, .charts > .scroll { margin: 0 0 16px; break-inside: avoid; }
.panel {
  margin: 16px 0 0; background: var(--card); border: 1px solid var(--line); border-radius: 14px;
  padding: 18px 20px; break-inside: avoid;
}
.panel figcaption { margin: 0 0 14px; font-size: 16px; }
.panel figcaption .note { font-size: 14px; line-height: 1.45; margin-top: 2px; }
.charts > .remark { break-inside: avoid; margin: 0 0 16px; }
.scroll + p { margin-top: 16px; }
.chart { display: block; width: 100%; height: auto; font-size: 12px; font-family: inherit; overflow: visible; }
.chart text { fill: var(--text); }
.chart .tick { fill: var(--soft); font-variant-numeric: tabular-nums; }
.chart .name, .chart .value { font-variant-numeric: tabular-nums; }
.chart .group { font-weight: 650; }
.chart .name, .chart .group { paint-order: stroke; stroke: var(--card); stroke-width: 5px; stroke-linejoin: round; }
.chart .grid, .chart .tick-mark { stroke: var(--line); }
.chart .axis { stroke: var(--soft); }
.chart .middle { stroke: var(--text); stroke-dasharray: 4 3; }
.chart .back { fill: var(--back); }
.chart .bar { fill: var(--s1); }
.chart .bar.worst { fill: var(--wrong); }
.chart .area { fill-opacity: 0.3; stroke-width: 1.5; }
.chart .area.right { fill: var(--right); stroke: var(--right); }
.chart .area.wrong { fill: var(--wrong); stroke: var(--wrong); }
.curve { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
.mark { fill: currentColor; stroke: var(--card); stroke-width: 1.2; }
.whisker { stroke: currentColor; stroke-width: 1.4; }
.s1 { color: var(--s1); }
.s2 { color: var(--s2); }
.s3 { color: var(--s3); }
.s4 { color: var(--s4); }
.s5 { color: var(--s5); }
.s6 { color: var(--s6); }
.curve.s2 { stroke-dasharray: 7 4; }
.curve.s3 { stroke-dasharray: 2 3; }
.curve.s4 { stroke-dasharray: 10 3 2 3; }
.curve.s5 { stroke-dasharray: 14 4; }
.curve.s6 { stroke-dasharray: 4 2; }

.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 6px 20px; margin: 12px 0 0; padding: 0; font-size: 14px; color: var(--soft); }
.legend li { overflow-wrap: anywhere; }
.legend .right { color: var(--right); }
.legend .wrong { color: var(--wrong); }
.key { width: 36px; height: 14px; margin-right: 7px; vertical-align: -2px; }

.rows { margin-top: 14px; background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 4px 20px; }
.row { display: grid; grid-template-columns: 132px minmax(0, 1fr); column-gap: 20px; padding: 18px 0 14px; break-inside: avoid; }
.row.whole { grid-template-columns: minmax(0, 1fr); }
.row + .row { border-top: 1px solid var(--line); }
.row-title { grid-column: 1 / -1; margin-bottom: 10px; font-size: 14px; font-weight: 600; }
.results { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 12px; align-content: start; }
.found .results { grid-template-columns: repeat(5, minmax(0, 1fr)); }
.shot { margin: 0; min-width: 0; }
.frame {
  position: relative; aspect-ratio: 1; border-radius: 9px; overflow: hidden; background: var(--photo);
  border: 1px solid var(--line);
}
.frame img { position: absolute; left: 4%; top: 4%; width: 92%; height: 92%; object-fit: contain; }
.frame .tiny { image-rendering: pixelated; }
.right > .frame { border: 3px solid var(--right); }
.wrong > .frame { border: 3px solid var(--wrong); }
.wanted > .frame { border: 3px dashed var(--soft); }
.sign {
  position: absolute; right: 4px; top: 4px; width: 20px; height: 20px; border-radius: 99px; color: #fff;
  font-size: 12px; line-height: 20px; text-align: center; font-weight: 700; background: #5b6470;
}
.right .sign { background: #15803d; }
.wrong .sign { background: #c81e2e; }
.no-picture {
  height: 100%; padding: 8px; display: grid; place-items: center; text-align: center; font: 11px/1.3 var(--mono);
  color: var(--soft); background: var(--back); overflow: hidden; overflow-wrap: anywhere;
}
figcaption { margin-top: 5px; font-size: 12.5px; line-height: 1.3; overflow-wrap: anywhere; }
figcaption .note { font-size: 12px; font-variant-numeric: tabular-nums; }
.query { border-right: 1px solid var(--line); padding-right: 20px; }
.query figcaption { font-weight: 600; }

.scroll { margin-top: 14px; overflow-x: auto; border: 1px solid var(--line); border-radius: 14px; background: var(--card); break-inside: auto; }
table { width: 100%; border-collapse: collapse; font-size: 15px; font-variant-numeric: tabular-nums; }
caption { padding: 12px 16px 4px; text-align: left; color: var(--soft); font-size: 14px; }
th, td { padding: 7px 16px; text-align: right; border-top: 1px solid var(--line); font-weight: 400; vertical-align: top; }
th:first-child { text-align: left; }
tbody th { overflow-wrap: break-word; min-width: 100px; max-width: 340px; }
td { white-space: nowrap; }
.text td, .meanings td:last-child { white-space: normal; }
thead th { color: var(--soft); font-size: 14px; overflow-wrap: break-word; max-width: 220px; border-top: 0; vertical-align: bottom; }
tr { break-inside: avoid; }
td .note { font-size: 12.5px; line-height: 1.3; }
strong { font-weight: 700; }
.text td, .text thead th, .meanings td:last-child, .meanings th:last-child { text-align: left; overflow-wrap: break-word; }
.text td { min-width: 130px; max-width: 420px; }
.meanings td:last-child { min-width: 240px; color: var(--soft); }
.key-name { display: inline-block; margin-right: 12px; font: 13px/1.5 var(--mono); }

.finding { margin-top: 32px; padding-top: 4px; border-top: 2px solid var(--line); }
.finding h3 { margin-top: 16px; font-size: 20px; }
.finding h3 .badge { margin-left: 6px; }
.remedy { margin-top: 10px; padding: 10px 14px; border-left: 4px solid var(--accent); background: var(--card); border-radius: 0 10px 10px 0; }

.facts-list { margin: 12px 0 0; font-size: 15px; }
.facts-list div { display: grid; grid-template-columns: 220px minmax(0, 1fr); gap: 4px 16px; padding: 5px 0; border-top: 1px solid var(--line); }
.facts-list dt { color: var(--soft); }
.facts-list dd { margin: 0; overflow-wrap: anywhere; }
pre { margin: 10px 0 0; padding: 11px 14px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; white-space: pre-wrap; overflow-wrap: anywhere; }
code { font: 14px/1.5 var(--mono); overflow-wrap: anywhere; }

@media screen and (max-width: 760px) {
  main { padding: 32px 16px; }
  section { margin-top: 48px; }
  .lead { font-size: 17px; }
  .figures { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px; }
  .figure { padding: 13px 14px; }
  .figure dd { font-size: 24px; }
  .panel { padding: 14px; }
  .rows { padding: 2px 14px; }
  .row { grid-template-columns: minmax(0, 1fr); }
  .query { border-right: 0; padding: 0 0 12px; display: grid; grid-template-columns: 96px 1fr; gap: 12px; align-items: center; }
  .results, .found .results { grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 10px; }
  th, td { padding: 7px 12px; }
  table { font-size: 14px; }
  .facts-list div { grid-template-columns: minmax(0, 1fr); gap: 0; }
}
@media print {
  :root { --page: #fff; --card: #fff; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  nav { display: none; }
  .figures { grid-template-columns: repeat(4, minmax(0, 1fr)); }
  .figure dd { font-size: 22px; }
  .charts { columns: 2; }
  .panel { padding: 12px 14px; }
  .row { grid-template-columns: 96px minmax(0, 1fr); padding: 10px 0; }
  .results, .found .results { grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 8px; }
  table { font-size: 10pt; }
  th, td { padding: 4px 8px; }
  section { margin-top: 28px; }
  h2, h3, caption, .row-title, section > p, section > .legend { break-after: avoid; }
  .scroll { overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
)css";

}  // namespace vsearch::report
