// node page.mjs: reads the page of a broker in Chromium as an operator would, and fails at the first thing that is not as it
// should be. The environment has ADMIN (its address), TOKEN (of an operator), WUBSUB and WSIFY (addresses of endpoints), and
// CHROMIUM (the program); with SHOTS, a folder, it keeps pictures of the page there.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import WebSocket from 'ws';

const { ADMIN, TOKEN, WUBSUB, WSIFY, CHROMIUM, SHOTS } = process.env;
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const patience = 120_000;
const markup = 'mark/<img src=x onerror=document.title="pwned">';

// dial returns a client that keeps what it hears.
function dial(url) {
  const socket = new WebSocket(url);
  const client = { heard: [], closed: false, say: (m) => socket.send(typeof m === 'string' ? m : JSON.stringify(m)), answer: () => {} };
  socket.on('message', (data) => { client.heard.push(String(data)); client.answer(String(data)); });
  socket.on('close', (code) => { client.closed = code; });
  socket.on('error', () => {});
  return new Promise((ok, no) => { socket.on('open', () => ok(client)); socket.on('error', no); });
}

async function until(what, is) {
  for (const end = Date.now() + patience; !(await is());) {
    assert.ok(Date.now() < end, `waiting for ${what}`);
    await new Promise((go) => setTimeout(go, 20));
  }
}

// A legacy client that answers, and one of another format that hears what is published.
const old = await dial(WUBSUB);
old.answer = (text) => {
  const m = JSON.parse(text);
  if (m.type === 'pie-req') old.say({ type: 'pie-resp', channel: 'svc', topic: 'm', reqid: m.reqid, data: { twice: m.data * 2 } });
};
old.say({ type: 'register', channel: 'svc', data: { restpie: { methods: ['m'] }, pubsub: { topics: ['t'] } } });
old.say({ type: 'ps-sub', channel: 'news', topic: 'x' });
const web = await dial(WSIFY);
for (const channel of ['news/x', markup]) web.say({ command: 'join', args: { channel } });

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
try {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (e) => faults.push(String(e)));
  page.on('console', (m) => { if (m.type() === 'error' && !/401/.test(m.text())) faults.push(m.text()); });
  const role = (name, options) => page.getByRole(name, options);
  const view = (name) => role('link', { name, exact: true }).click();

  // Who is not known signs in.
  await page.goto(ADMIN);
  await page.getByLabel('Token').fill('wrong');
  await role('button', { name: 'Sign in' }).click();
  await role('alert').getByText('needs a credential').waitFor();
  await page.getByLabel('Token').fill(TOKEN);
  await role('button', { name: 'Sign in' }).click();
  await role('region', { name: 'wubsub', exact: true }).getByText('1 connections').waitFor();
  await page.locator('canvas').first().waitFor();
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/page.png` });

  // A topic with markup is text.
  await view('Topics');
  await role('cell', { name: markup, exact: true }).waitFor();
  assert.equal(await page.locator('main img').count(), 0);
  assert.equal(await page.title(), 'polywire');

  // A message crosses from one format to the other.
  await view('Tap');
  await page.getByLabel('which').fill('news/x');
  await role('button', { name: 'Begin', exact: true }).click();
  await page.getByText('Reading along.').waitFor();
  const out = role('region', { name: 'What clients are told' });
  // The tap may not be in force yet, so that it is said again until it is seen.
  await until('the message in the tap', async () => {
    web.say({ command: 'broadcast', args: { channel: 'news/x', content: { text: '<b>crossing</b>' } } });
    return (await out.getByText('"type":"ps-recv"').count()) > 0;
  });
  await role('region', { name: 'What clients say' }).getByText('"command":"broadcast"').first().waitFor();
  assert.equal(await page.locator('main b').count(), 0);
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/tap.png` });
  await role('button', { name: 'Stop' }).click();

  // A legacy client is asked, and something is published.
  await view('Publish and call');
  await page.getByLabel('endpoint').fill('wsify');
  await page.getByLabel('topic or service').fill('svc/m');
  await page.getByLabel('content').fill('21');
  await role('button', { name: 'Call', exact: true }).click();
  await page.getByText('Answer: {"twice":42}').waitFor();
  await page.getByLabel('topic or service').fill('news/x');
  await page.getByLabel('content').fill('"from the page"');
  await role('button', { name: 'Publish', exact: true }).click();
  await until('what the page has published', () => old.heard.some((m) => m.includes('from the page')));

  // What is lost between two formats is shown, by the table that broker check --matrix prints.
  await view('Formats');
  await role('button', { name: 'From wubsub to wsify', exact: true }).click();
  await role('region', { name: 'From wubsub to wsify' }).getByText('message.topic').waitFor();

  // What a reload would change is shown.
  await view('Reload');
  await role('heading', { name: 'Reload', exact: true }).waitFor();

  // axe finds nothing, in any view, on a phone and on a wide screen, light and dark.
  const views = await page.locator('nav a').allTextContents();
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [360, 1440]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      for (const name of views) {
        await view(name);
        await role('heading', { level: 2, name, exact: true }).waitFor();
        // The policy of the page allows no script that is put into it; the test reaches in beside it.
        const found = await page.evaluate(async (source) => {
          if (!window.axe) (0, eval)(source); // eslint-disable-line no-eval
          return (await window.axe.run()).violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ').slice(0, 300)}`);
        }, (await import('node:fs')).readFileSync(axe, 'utf8')).catch((e) => { throw new Error(`axe: ${e.message}`); });
        assert.deepEqual(found, [], `${name}, ${colorScheme}, ${width} px`);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than ${width} px`);
      }
    }
  }

  // A client is found and ended.
  await view('Connections');
  await role('form', { name: 'Find connections' }).getByLabel('endpoint').fill('wsify');
  await role('button', { name: 'Find', exact: true }).click();
  await page.getByText('1 match.').waitFor();
  await role('button', { name: /Look at connection/ }).click();
  await role('button', { name: 'End it' }).click();
  await page.getByText('It is ended.').waitFor();
  await until('the end of the client', () => web.closed === 1008);

  assert.deepEqual(faults, []);
  await role('button', { name: 'Sign out' }).click();
  await page.getByText('You have signed out.').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
} finally {
  await browser.close();
}
process.exit(0);
