// The lists that need no view of their own.
import { useState } from "preact/hooks";
import { Table, Why, html, useAsked } from "./ui.js";

export const List = ({ title, path, prefix }) => {
  const [begin, setBegin] = useState("");
  const [after, setAfter] = useState("");
  const [turn, setTurn] = useState(0);
  const q = new URLSearchParams({ ...(begin && { prefix: begin }), ...(after && { after }) }).toString();
  const { data, why } = useAsked(path + (q && "?" + q), turn);
  const rows = (data && Object.entries(data).find(([k, v]) => Array.isArray(v) && k !== "missing")?.[1]) || [];
  const columns = [...new Set(rows.flatMap(Object.keys))];
  return html`
    <h2>${title}</h2>
    <form aria-label=${`Find ${title.toLowerCase()}`} onSubmit=${(e) => { e.preventDefault(); setAfter(""); setBegin(new FormData(e.target).get("prefix") || ""); setTurn(turn + 1); }}>
      ${prefix && html`<label>begins with<input name="prefix" /></label>`}<button>${prefix ? "Find" : "Look again"}</button>
    </form>
    ${why && html`<${Why} why=${why} />`}
    ${data && html`<${Table} caption=${title} columns=${columns} rows=${rows} />
      ${data.next && html`<button onClick=${() => setAfter(data.next)}>Next page</button>`}`}`;
};
