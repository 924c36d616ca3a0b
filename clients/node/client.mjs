// node client.mjs LIBRARY URL: a WebSocket client that does what it reads on stdin
// and says on stdout what happens, in one JSON object a line.
//
//   stdin   {"do":"send","data":BASE64,"binary":BOOL}  {"do":"ping"}  {"do":"close"}
//   stdout  {"event":"open","extensions":TEXT}
//           {"event":"message","data":BASE64,"binary":BOOL,"wire":BYTES FROM THE SERVER SO FAR}
//           {"event":"pong"}  {"event":"close","code":N,"reason":TEXT}  {"event":"error","reason":TEXT}
//
// It ends when the connection does, or when stdin does.
import { createInterface } from 'node:readline';
import { libraries } from './libraries.mjs';

const [library, url] = process.argv.slice(2);
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const input = createInterface({ input: process.stdin });

const client = libraries[library](url, {
  open: (extensions) => say({ event: 'open', extensions }),
  message: (data, binary) =>
    say({ event: 'message', data: data.toString('base64'), binary, wire: client.wire?.() }),
  pong: () => say({ event: 'pong' }),
  close: (code, reason) => {
    say({ event: 'close', code, reason });
    input.close();
    process.stdin.destroy();
  },
  error: (reason) => say({ event: 'error', reason }),
});

const actions = {
  send: ({ data, binary }) => {
    const bytes = Buffer.from(data, 'base64');
    client.send(binary ? bytes : bytes.toString());
  },
  ping: () => client.ping(),
  close: () => client.close(),
};
input.on('line', (line) => {
  const order = JSON.parse(line);
  actions[order.do](order);
});
process.stdin.on('end', () => process.exit());
