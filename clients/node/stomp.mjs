// node stomp.mjs LIBRARY URL: a STOMP client that does what it reads on stdin and says on
// stdout what happens, in one JSON object a line.
//
//   stdin   {"do":"subscribe","destination":D,"headers":{}}  {"do":"send","destination":D,"headers":{},"body":B}
//           {"do":"begin","transaction":T}  {"do":"commit","transaction":T}  {"do":"disconnect"}
//   stdout  {"event":"connected","version":V}
//           {"event":"message","headers":{},"body":B}  {"event":"receipt","id":ID}  {"event":"error","message":M}
//           {"event":"close","code":N}
//
// Messages that are to be acknowledged are. It ends when the connection does, or when
// stdin does.
import { createInterface } from 'node:readline';
import { Client } from '@stomp/stompjs';
import webstomp from 'webstomp-client';
import { WebSocket } from 'ws';

const [library, url] = process.argv.slice(2);
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n');
const input = createInterface({ input: process.stdin });

function heard(message) {
  say({ event: 'message', headers: message.headers, body: message.body });
  if (message.headers.ack) message.ack();
}

function closed(code) {
  say({ event: 'close', code });
  input.close();
  process.stdin.destroy();
}

const libraries = {
  // Frames of more than 8 KiB go out in several WebSocket messages.
  stompjs() {
    const client = new Client({
      brokerURL: url,
      webSocketFactory: () => new WebSocket(url, ['v12.stomp', 'v11.stomp', 'v10.stomp']),
      reconnectDelay: 0,
      splitLargeFrames: true,
      onConnect: () => say({ event: 'connected', version: client.connectedVersion }),
      onUnhandledMessage: heard,
      onUnhandledReceipt: (frame) => say({ event: 'receipt', id: frame.headers['receipt-id'] }),
      onStompError: (frame) => say({ event: 'error', message: frame.headers.message }),
      onWebSocketClose: (event) => closed(event.code),
    });
    client.activate();
    const transactions = {};
    return {
      subscribe: ({ destination, headers }) => client.subscribe(destination, heard, headers),
      send: ({ destination, headers, body }) => client.publish({ destination, headers, body }),
      begin: ({ transaction }) => (transactions[transaction] = client.begin(transaction)),
      commit: ({ transaction }) => transactions[transaction].commit(),
      disconnect: () => client.deactivate(),
    };
  },

  // An older library: frames of more than 16 KiB go out in several WebSocket messages.
  webstomp() {
    const socket = new WebSocket(url, ['v10.stomp', 'v11.stomp', 'v12.stomp']);
    const client = webstomp.over(socket, { debug: false });
    client.onreceive = heard;
    client.onreceipt = (frame) => say({ event: 'receipt', id: frame.headers['receipt-id'] });
    client.connect(
      {},
      () => say({ event: 'connected', version: client.version }),
      (frame) => frame.headers && say({ event: 'error', message: frame.headers.message }),
    );
    socket.on('close', closed);
    const transactions = {};
    return {
      subscribe: ({ destination, headers }) => client.subscribe(destination, heard, headers),
      send: ({ destination, headers, body }) => client.send(destination, body, headers),
      begin: ({ transaction }) => (transactions[transaction] = client.begin(transaction)),
      commit: ({ transaction }) => transactions[transaction].commit(),
      disconnect: () => client.disconnect(),
    };
  },
};

const actions = libraries[library]();
input.on('line', (line) => {
  const order = JSON.parse(line);
  actions[order.do](order);
});
process.stdin.on('end', () => process.exit());
