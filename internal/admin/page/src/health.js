// The checks of /readyz: certificates, plugins, the cluster and so on. They are shown when they fail too.
import { useEffect, useState } from "preact/hooks";
import { Table, Why, html } from "./ui.js";

export const Health = () => {
  const [state, set] = useState({});
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    fetch("/readyz?format=json", { cache: "no-store" }).then((a) => a.json()).then((data) => set({ data }), (e) => set({ why: e.message }));
  }, [turn]);
  const rows = Object.entries(state.data?.checks || {}).flatMap(([check, list]) => list.map((one) => ({
    check, of: one.componentId, status: one.status, observed: one.observedValue === undefined ? "" : `${one.observedValue} ${one.observedUnit || ""}`, output: one.output,
  })));
  return html`<h2>Health</h2><button onClick=${() => setTurn(turn + 1)}>Look again</button>
    ${state.why && html`<${Why} why=${state.why} />`}
    ${state.data && html`<p role="status">${state.data.status}</p><${Table} caption="Checks" columns=${["check", "of", "status", "observed", "output"]} rows=${rows} />`}`;
};
