// Who is connected; one of them in full, and its end.
import { useState } from "preact/hooks";
import { json } from "./api.js";
import { Facts, Table, Why, html, useAsked } from "./ui.js";

export const Connections = ({ tap }) => {
  const [query, setQuery] = useState({ sort: "id" });
  const [after, setAfter] = useState("");
  const [one, setOne] = useState(0);
  const [turn, setTurn] = useState(0);
  const asked = new URLSearchParams({ ...query, limit: 50, ...(after && { after }) });
  const { data, why } = useAsked("/v1/connections?" + asked, turn);
  const find = (e) => {
    e.preventDefault();
    setAfter("");
    setTurn(turn + 1);
    setQuery(Object.fromEntries([...new FormData(e.target)].filter(([, v]) => v)));
  };
  return html`
    <h2>Connections</h2>
    <form onSubmit=${find} aria-label="Find connections">
      ${["endpoint", "protocol", "user", "address", "topic"].map((n) => html`<label>${n}<input name=${n} size="12" /></label>`)}
      <label>sort<select name="sort">${["id", "queued", "idle", "oldest", "newest", "rate", "busy"].map((s) => html`<option>${s}</option>`)}</select></label>
      <button>Find</button>
    </form>
    ${why && html`<${Why} why=${why} />`}
    ${one > 0 && html`<${One} id=${one} key=${one} tap=${tap} close=${() => { setOne(0); setTurn(turn + 1); }} />`}
    ${data && html`<p role="status">${data.total} match. ${data.missing?.length ? `Nodes that did not answer: ${data.missing.join(", ")}` : ""}</p>
      <${Table} caption="Connections" columns=${["id", "endpoint", "protocol", "remote", "user", "idle_seconds", "queued_bytes", "node"]} rows=${data.connections}
        more=${(c) => html`<button onClick=${() => setOne(c.id)} aria-label=${`Look at connection ${c.id}`}>Look</button>`} />
      ${after && html`<button onClick=${() => setAfter("")}>First page</button>`} ${data.next && html`<button onClick=${() => setAfter(data.next)}>Next page</button>`}`}`;
};

const reasons = ["denied", "slow", "drain"];

const One = ({ id, close, tap }) => {
  const { data, why } = useAsked("/v1/connections/" + id);
  const [said, say] = useState("");
  const end = async (e) => {
    e.preventDefault();
    try {
      await json("DELETE", `/v1/connections/${id}?reason=${encodeURIComponent(new FormData(e.target).get("reason"))}`);
      say("It is ended.");
    } catch (e) { say(e.message); }
  };
  return html`<section class="box" aria-label=${`Connection ${id}`}>
    <h3>Connection ${id}</h3>
    ${why && html`<${Why} why=${why} />`}
    ${data && html`<${Facts} of=${data} />`}
    <form onSubmit=${end} aria-label="End the connection">
      <label>reason<select name="reason">${reasons.map((r) => html`<option>${r}</option>`)}</select></label>
      <button>End it</button><button type="button" onClick=${() => tap({ on: "connection", name: String(id) })}>Tap it</button><button type="button" onClick=${close}>Close</button>
    </form>
    <p role="status">${said}</p>
  </section>`;
};
