// What translation changes and loses between the formats of the endpoints, as they are configured.
import { useState } from "preact/hooks";
import { Table, Why, html, useAsked } from "./ui.js";

const arrives = (cell) => cell.outcome === "whole" || cell.outcome === "unsayable";

export const Losses = () => {
  const { data, why } = useAsked("/v1/matrix");
  const [pair, setPair] = useState(null);
  if (!data) return html`<h2>Formats</h2>${why ? html`<${Why} why=${why} />` : html`<p>Asking the formats.</p>`}`;
  const names = data.formats.map((f) => f.name);
  const of = (from, to) => data.pairs.find((p) => p.from === from && p.to === to);
  const chosen = pair && of(...pair);
  return html`<h2>Formats</h2>
    <p class="dim">How many things do not arrive as they were sent, from the format of a row to that of a column. What a format has no words for does not count.</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Formats">
      <table>
        <thead><tr><th scope="col">from, to</th>${names.map((n) => html`<th scope="col">${n}</th>`)}</tr></thead>
        <tbody>${names.map((from) => html`<tr><th scope="row">${from}</th>${names.map((to) => html`<td><button aria-label=${`From ${from} to ${to}`}
          onClick=${() => setPair([from, to])}>${of(from, to).cells.filter((c) => !arrives(c)).length}</button></td>`)}</tr>`)}</tbody>
      </table>
    </div>
    ${chosen && html`<h3>From ${chosen.from} to ${chosen.to}</h3>
      <${Table} caption=${`From ${chosen.from} to ${chosen.to}`} columns=${["property", "outcome", "detail", "limit"]} rows=${chosen.cells.filter((c) => c.outcome !== "whole")} />`}`;
};
