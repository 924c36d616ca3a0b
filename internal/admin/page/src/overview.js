// What the broker does now.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { html } from "./ui.js";

const kept = 300; // samples

// Rates keeps what the charts show: a bounded number of samples for each format.
export class Rates {
  constructor() { this.last = null; this.times = []; this.of = new Map(); this.lost = []; }

  add(sample) {
    const before = this.last;
    this.last = sample;
    const time = Date.parse(sample.time) / 1000;
    const seconds = before ? time - Date.parse(before.time) / 1000 : 0;
    // Another broker, one that has begun again, or a page that slept: what was shown is no longer so.
    if (seconds <= 0 || seconds > 30 || sample.protocols.some((p) => before.protocols.some((q) => q.protocol === p.protocol && p.messages_in < q.messages_in))) {
      this.times = []; this.of = new Map();
      return;
    }
    this.times.push(time);
    for (const name of this.of.keys()) if (!sample.protocols.some((p) => p.protocol === name)) this.of.delete(name);
    for (const p of sample.protocols) {
      const q = before.protocols.find((one) => one.protocol === p.protocol);
      const rate = (key) => (q ? Math.max(0, p[key] - q[key]) / seconds : 0);
      const row = this.of.get(p.protocol) || { in: Array(this.times.length - 1).fill(null), out: Array(this.times.length - 1).fill(null) };
      row.in.push(rate("messages_in")); row.out.push(rate("messages_out"));
      row.published = rate("published"); row.dropped = rate("dropped");
      this.of.set(p.protocol, row);
    }
    if (this.times.length > kept) {
      this.times.shift();
      for (const row of this.of.values()) { row.in.shift(); row.out.shift(); }
    }
  }
}

const Chart = ({ name, times, row }) => {
  const place = useRef(null), chart = useRef(null);
  useEffect(() => {
    const to = place.current;
    const color = getComputedStyle(document.documentElement);
    const front = color.getPropertyValue("--dim").trim(), line = color.getPropertyValue("--link").trim();
    const drawn = chart.current = new uPlot({
      width: to.clientWidth || 280, height: 90, legend: { show: false }, cursor: { show: false },
      axes: [{ show: false }, { stroke: front, size: 45, grid: { show: false } }], scales: { y: { range: (_, low, high) => [0, Math.max(1, high)] } },
      series: [{}, { stroke: front }, { stroke: line, width: 2 }],
    }, [[], [], []], to);
    const size = new ResizeObserver(() => to.isConnected && drawn.setSize({ width: to.clientWidth, height: 90 }));
    size.observe(to);
    return () => { size.disconnect(); drawn.destroy(); };
  }, []);
  useEffect(() => { chart.current.setData([times, row.in, row.out]); });
  return html`<div ref=${place} role="img" aria-label=${`Messages of ${name} a second in the last minutes; the numbers stand above`}></div>`;
};

const round = (n) => (n >= 100 ? Math.round(n).toLocaleString("en") : n.toFixed(1));
const time = (s) => (s === undefined ? "none measured" : s < 0.001 ? `${(s * 1e6).toFixed(0)} µs` : `${(s * 1e3).toFixed(1)} ms`);

export const Overview = ({ rates }) => {
  const now = rates.last;
  if (!now) return html`<h2>Overview</h2><p>Waiting for the first sample.</p>`;
  const names = now.protocols.map((p) => p.protocol);
  const authors = [...new Set([...names, ...now.protocols.flatMap((p) => Object.keys(p.untranslated || {}))])];
  const at = rates.times.length - 1;
  return html`
    <h2>Overview</h2>
    <p class="dim">${now.version}, ${now.topics} topics, ${now.calls} calls wait, ${now.queued_bytes} bytes queued, ${Math.round(now.memory_bytes / 1048576)} MiB used</p>
    <div class="grid">${now.protocols.map((p) => {
      const row = rates.of.get(p.protocol);
      return html`<section class="box" key=${p.protocol} aria-label=${p.protocol}>
        <h3>${p.protocol || "no format"}</h3>
        <p>${p.open} connections at ${p.endpoints} endpoints. ${row ? `${round(row.in[at])} in, ${round(row.out[at])} out, ${round(row.dropped)} dropped a second.` : ""} Half reach a socket in ${time(p.p50_seconds)}, 99 % in ${time(p.p99_seconds)}.</p>
        ${row && html`<${Chart} name=${p.protocol} times=${rates.times} row=${row} />`}
      </section>`;
    })}</div>
    <h3 id="lost">What translation has lost, from the author's format (row) to the receiver's (column)</h3>
    <div class="scroll" tabindex="0" role="region" aria-labelledby="lost"><table>
      <thead><tr><th scope="col">from</th><th scope="col">published a second</th>${names.map((n) => html`<th scope="col">${n}</th>`)}</tr></thead>
      <tbody>${authors.map((a) => html`<tr><th scope="row">${a || "not known"}</th><td>${rates.of.has(a) ? round(rates.of.get(a).published) : ""}</td>
        ${now.protocols.map((p) => html`<td>${(p.untranslated || {})[a] || 0}</td>`)}</tr>`)}</tbody>
    </table></div>`;
};
