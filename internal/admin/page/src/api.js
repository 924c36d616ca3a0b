// What the page asks of the server. The token is kept until the tab is closed.
let token = sessionStorage.getItem("token") || "";
let signedOut = () => {};

export const onSignedOut = (f) => { signedOut = f; };

export function signIn(text) {
  token = text.trim();
  if (token) sessionStorage.setItem("token", token);
  else sessionStorage.removeItem("token");
}

export async function ask(method, path, { body, type, signal } = {}) {
  const headers = { "X-Polywire": "page" };
  if (token) headers.Authorization = "Bearer " + token;
  if (type) headers["Content-Type"] = type;
  const answer = await fetch(path, { method, headers, body, signal, cache: "no-store", redirect: "error" });
  if (answer.ok) return answer;
  const text = await answer.text();
  let why = text;
  try { why = JSON.parse(text).error.message; } catch { /* it is a line of text */ }
  if (answer.status === 401) {
    signIn("");
    signedOut(why);
  }
  const error = new Error(why || "the server answers " + answer.status);
  error.status = answer.status;
  error.wait = Number(answer.headers.get("Retry-After")) || 0;
  throw error;
}

export const json = async (method, path, options) => (await ask(method, path, options)).json();

// events hands over each event of a stream, and returns when it ends.
export async function events(path, signal, take) {
  const answer = await ask("GET", path, { signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) take(JSON.parse(part.slice(6)));
  }
}

// follow reads /v1/live again and again, with longer and longer pauses while that fails, until signal ends it.
export async function follow(signal, take, tell) {
  let pause = 1;
  while (!signal.aborted) {
    try {
      await events("/v1/live", signal, (one) => { pause = 1; take(one); });
      tell("");
    } catch (e) {
      if (signal.aborted || e.status === 401) return;
      pause = Math.max(e.wait || 0, Math.min(pause * 2, 30));
      tell(`${e.message}; trying again in ${pause} s`);
    }
    await new Promise((go) => {
      const timer = setTimeout(go, pause * 1000);
      signal.addEventListener("abort", () => { clearTimeout(timer); go(); }, { once: true });
    });
  }
}
