// Small parts that the views share.
import { h } from "preact";
import { useEffect, useState } from "preact/hooks";
import htm from "htm";
import { json } from "./api.js";

export const html = htm.bind(h);

// text is a value as one line. Preact writes it as text, whatever is in it.
export const text = (v) =>
  v === null || v === undefined ? "" : Array.isArray(v) ? v.map(text).join(", ") : typeof v === "object" ? Object.entries(v).map(([k, x]) => `${k} ${text(x)}`).join(", ") : String(v);

export function useAsked(path, turn) {
  const [state, set] = useState({});
  useEffect(() => {
    const stop = new AbortController();
    json("GET", path, { signal: stop.signal }).then((data) => set({ data }), (e) => stop.signal.aborted || set({ why: e.message }));
    return () => stop.abort();
  }, [path, turn]);
  return state;
}

export const Table = ({ caption, columns, rows, more }) => html`
  <div class="scroll" tabindex="0" role="region" aria-label=${caption}>
    <table>
      <thead><tr>${columns.map((c) => html`<th scope="col">${c.replaceAll("_", " ")}</th>`)}${more && html`<th scope="col">what to do</th>`}</tr></thead>
      <tbody>${rows.map((r) => html`<tr>${columns.map((c) => html`<td>${text(r[c])}</td>`)}${more && html`<td>${more(r)}</td>`}</tr>`)}</tbody>
    </table>
    ${rows.length === 0 && html`<p class="dim">None.</p>`}
  </div>`;

export const Facts = ({ of }) => html`<div class="scroll" tabindex="0" role="region" aria-label="Details"><table><tbody>${Object.entries(of).map(([k, v]) => html`<tr><th scope="row">${k.replaceAll("_", " ")}</th><td>${text(v)}</td></tr>`)}</tbody></table></div>`;

export const Why = ({ why }) => html`<p role="alert" class="bad">${why}</p>`;
