// What a reload would change, and the reload.
import { useState } from "preact/hooks";
import { json } from "./api.js";
import { Facts, Why, html, useAsked } from "./ui.js";

export const Reload = () => {
  const [turn, setTurn] = useState(0);
  const [said, say] = useState("");
  const { data, why } = useAsked("/v1/reload", turn);
  const reload = async () => {
    try { await json("POST", "/v1/reload"); say("It is reloaded."); } catch (e) { say(e.message); }
    setTurn(turn + 1);
  };
  return html`<h2>Reload</h2>
    ${why && html`<${Why} why=${why} />`}
    ${data && html`<${Facts} of=${data} />`}
    <p><button onClick=${() => setTurn(turn + 1)}>Look again</button> <button onClick=${reload}>Reload</button></p>
    <p role="status">${said}</p>`;
};
