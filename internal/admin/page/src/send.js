// Publishes, and calls services.
import { useState } from "preact/hooks";
import { ask } from "./api.js";
import { html, useAsked } from "./ui.js";

export const Send = () => {
  const { data } = useAsked("/v1/endpoints");
  const [said, say] = useState("");
  const send = async (e) => {
    e.preventDefault();
    const f = new FormData(e.target), call = e.submitter?.value === "call";
    const endpoint = f.get("endpoint"), name = f.get("name");
    const path = call ? `/v1/call/${encodeURIComponent(name)}?` + new URLSearchParams({ endpoint })
      : "/v1/publish?" + new URLSearchParams({ endpoint, topic: name });
    say("Waiting.");
    try {
      const answer = await ask("POST", path, { body: f.get("body"), type: f.get("type") });
      say((call ? "Answer: " : "Published: ") + (answer.status === 204 ? "nothing" : await answer.text()));
    } catch (e) { say("Refused: " + e.message); }
  };
  return html`
    <h2>Publish and call</h2>
    <form onSubmit=${send} aria-label="Publish or call">
      <label>endpoint<input name="endpoint" list="endpoints" required /></label>
      <datalist id="endpoints">${(data?.endpoints || []).map((e) => html`<option value=${e.name}></option>`)}</datalist>
      <label>topic or service<input name="name" required /></label>
      <label>what it is<select name="type"><option>application/json</option><option>text/plain</option></select></label>
      <label>content<textarea name="body" rows="4" cols="40"></textarea></label>
      <button value="publish">Publish</button><button value="call">Call</button>
    </form>
    <pre role="status">${said}</pre>`;
};
