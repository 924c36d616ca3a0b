// The page: who reads it, which view is open, and the stream of samples.
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { follow, onSignedOut, signIn } from "./api.js";
import { Connections } from "./connections.js";
import { Health } from "./health.js";
import { List } from "./lists.js";
import { Losses } from "./losses.js";
import { Overview, Rates } from "./overview.js";
import { Reload } from "./reload.js";
import { Send } from "./send.js";
import { Tap } from "./tap.js";
import { html } from "./ui.js";
import "./page.css";

const views = {
  overview: "Overview", connections: "Connections", tap: "Tap", send: "Publish and call", topics: "Topics", services: "Services", sessions: "Sessions",
  channels: "Channels", endpoints: "Endpoints", nodes: "Nodes", formats: "Formats", health: "Health", reload: "Reload",
};

const SignIn = ({ why, done }) => html`<main>
  <h1>polywire</h1>
  <form aria-label="Sign in" onSubmit=${(e) => { e.preventDefault(); signIn(new FormData(e.target).get("token")); done(); }}>
    <label>Token<input name="token" type="password" autocomplete="off" required /></label><button>Sign in</button>
  </form>
  <p role="alert">${why}</p>
</main>`;

const Page = () => {
  const [away, setAway] = useState(null); // why nobody is signed in
  const [view, setView] = useState(() => location.hash.slice(1));
  const [said, say] = useState("");
  const [, draw] = useState(0);
  const [tapped, setTapped] = useState({ on: "topic", name: "" });
  const rates = useRef(new Rates());
  onSignedOut(setAway);
  useEffect(() => {
    const turn = () => setView(location.hash.slice(1));
    addEventListener("hashchange", turn);
    return () => removeEventListener("hashchange", turn);
  }, []);
  useEffect(() => {
    if (away !== null) { rates.current = new Rates(); return; }
    // A page that nobody sees asks for nothing.
    let stop = null;
    const watch = () => {
      stop?.abort();
      stop = null;
      if (document.hidden) return;
      stop = new AbortController();
      follow(stop.signal, (one) => { rates.current.add(one); say(""); draw((n) => n + 1); }, say);
    };
    watch();
    document.addEventListener("visibilitychange", watch);
    return () => { document.removeEventListener("visibilitychange", watch); stop?.abort(); };
  }, [away]);
  if (away !== null) return html`<${SignIn} why=${away} done=${() => setAway(null)} />`;
  const open = views[view] ? view : "overview";
  const tap = (on) => { setTapped(on); location.hash = "tap"; };
  return html`
    <header>
      <h1>polywire</h1>
      <nav aria-label="Views">${Object.entries(views).map(([k, v]) => html`<a key=${k} href=${"#" + k} aria-current=${k === open ? "page" : undefined}>${v}</a>`)}</nav>
      <button onClick=${() => { signIn(""); setAway("You have signed out."); }}>Sign out</button>
    </header>
    <main>
      <p role="status" class="bad">${said}</p>
      ${open === "overview" && html`<${Overview} rates=${rates.current} />`}
      ${open === "connections" && html`<${Connections} tap=${tap} />`}
      ${open === "tap" && html`<${Tap} begin=${tapped} />`}
      ${open === "send" && html`<${Send} />`}
      ${open === "formats" && html`<${Losses} />`}
      ${open === "health" && html`<${Health} />`}
      ${open === "reload" && html`<${Reload} />`}
      ${["topics", "services", "sessions", "channels", "endpoints", "nodes"].includes(open) &&
        html`<${List} key=${open} title=${views[open]} path=${"/v1/" + open} prefix=${["topics", "services", "channels", "endpoints"].includes(open)} />`}
    </main>`;
};

render(html`<${Page} />`, document.getElementById("app"));
