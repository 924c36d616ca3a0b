// What a topic, a connection or an endpoint sees: on the left what clients say, on the right what they are told.
import { useEffect, useRef, useState } from "preact/hooks";
import { events } from "./api.js";
import { html, text } from "./ui.js";

const kept = 200; // events
const shown = 4096; // bytes of each, which the server cuts

export const Tap = ({ begin }) => {
  const [on, setOn] = useState(begin.on), [name, setName] = useState(begin.name);
  const [seen, setSeen] = useState([]);
  const [said, say] = useState("");
  const running = useRef(null);
  const stop = () => { running.current?.abort(); running.current = null; };
  useEffect(() => stop, []);
  const start = async (e) => {
    e.preventDefault();
    stop();
    const mine = (running.current = new AbortController());
    setSeen([]);
    say("Reading along.");
    let all = [], drawn = true, count = 0;
    try {
      await events("/v1/tap?" + new URLSearchParams({ [on]: name, max_bytes: shown, rate: 50 }), mine.signal, (ev) => {
        all = [...all.slice(1 - kept), { ...ev, key: count++ }];
        // A flood is drawn once in a frame.
        if (drawn) { drawn = false; setTimeout(() => { drawn = true; if (!mine.signal.aborted) setSeen(all); }, 50); }
      });
      say("The tap has ended.");
    } catch (e) { if (!mine.signal.aborted) say(e.message); else if (running.current === null) say("Stopped."); }
  };
  const one = (ev) => html`<li key=${ev.key} class="box">
    <span class="dim">connection ${ev.connection}, ${ev.kind}, ${ev.size} bytes${ev.message?.number ? `, message ${ev.message.number}` : ""}${ev.redacted ? ", redacted" : ""}</span>
    <pre>${ev.base64 ? "base64 " + ev.base64 : ev.text || ""}</pre>
    ${ev.message && html`<span class="dim">${text(ev.message)}</span>`}
  </li>`;
  return html`
    <h2>Tap</h2>
    <form onSubmit=${start} aria-label="Begin a tap">
      <label>of<select value=${on} onChange=${(e) => setOn(e.target.value)}>${["topic", "connection", "endpoint"].map((o) => html`<option>${o}</option>`)}</select></label>
      <label>which<input required value=${name} onInput=${(e) => setName(e.target.value)} /></label>
      <button>Begin</button><button type="button" onClick=${() => { stop(); say("Stopped."); }}>Stop</button>
    </form>
    <p class="dim">At most 50 messages a second are shown, and the last ${kept} kept. The log says who has read along.</p>
    <p role="status">${said}</p>
    <div class="grid">
      <section aria-label="What clients say"><h3>In, and the message</h3><ol>${seen.filter((ev) => ev.direction === "in" || ev.kind === "message").map(one)}</ol></section>
      <section aria-label="What clients are told"><h3>Out</h3><ol>${seen.filter((ev) => ev.direction !== "in" && ev.kind !== "message").map(one)}</ol></section>
    </div>`;
};
