// node phoenix.mjs URL: a client of the Phoenix framework that does what it reads on
// stdin and says on stdout what happens, in one JSON object a line.
//
//   stdin   {"do":"join","topic":T}  {"do":"leave","topic":T}
//           {"do":"push","topic":T,"name":E,"payload":P}  {"do":"disconnect"}
//   stdout  {"event":"open"}  {"event":"reply","name":E,"status":S,"payload":P}
//           {"event":"message","topic":T,"name":E,"payload":P}  {"event":"close","code":N}
//
// It ends when the connection does, or when stdin does.
import { createInterface } from 'node:readline';
import { Socket } from 'phoenix';
import { WebSocket } from 'ws';

const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const input = createInterface({ input: process.stdin });
// The client adds /websocket itself.
const socket = new Socket(process.argv[2].replace(/\/websocket$/, ''), { transport: WebSocket });
socket.onOpen(() => say({ event: 'open' }));
socket.onClose((event) => {
  say({ event: 'close', code: event.code });
  process.exit();
});
socket.connect();

const channels = {};
const replied = (name, push) => {
  for (const status of ['ok', 'error', 'timeout']) {
    push.receive(status, (payload) => say({ event: 'reply', name, status, payload }));
  }
};
const actions = {
  join: ({ topic }) => {
    const channel = (channels[topic] = socket.channel(topic));
    channel.onMessage = (name, payload) => {
      if (!/^(phx|chan)_/.test(name)) say({ event: 'message', topic, name, payload });
      return payload;
    };
    replied('join', channel.join());
  },
  leave: ({ topic }) => replied('leave', channels[topic].leave()),
  push: ({ topic, name, payload }) => replied(name, channels[topic].push(name, payload)),
  disconnect: () => socket.disconnect(),
};
input.on('line', (line) => {
  const order = JSON.parse(line);
  actions[order.do](order);
});
process.stdin.on('end', () => process.exit());
