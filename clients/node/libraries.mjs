// The WebSocket client libraries of Node.js behind one shape, which is no more
// than their common part:
//
//   libraries[NAME](url, tell) → {send(data), ping(), close(), wire()}
//
// tell.open(extensions), tell.message(data, binary), tell.pong(),
// tell.close(code, reason) and tell.error(text) are called as the library says so.
// send takes a string for a text message and a Buffer for a binary one. ping is
// missing where the library has none, and wire, the bytes that came from the
// server so far, where the library does not show its socket.
import FayeWebSocket from 'faye-websocket';
import { WebSocket as UndiciWebSocket } from 'undici';
import websocket from 'websocket';
import WS from 'ws';

export const libraries = {
  ws(url, tell) {
    const client = new WS(url);
    client.on('open', () => tell.open(client.extensions));
    client.on('message', tell.message);
    client.on('pong', tell.pong);
    client.on('close', (code, reason) => tell.close(code, reason.toString()));
    client.on('error', (error) => tell.error(error.message));
    return {
      send: (data) => client.send(data),
      ping: () => client.ping(),
      close: () => client.close(1000),
      wire: () => client._socket.bytesRead,
    };
  },

  // The WebSocket of browsers, which is also the one that Node.js 22 has built in.
  undici(url, tell) {
    const client = new UndiciWebSocket(url);
    client.binaryType = 'arraybuffer';
    client.onopen = () => tell.open(client.extensions);
    client.onmessage = ({ data }) => tell.message(Buffer.from(data), typeof data !== 'string');
    client.onclose = ({ code, reason }) => tell.close(code, reason);
    client.onerror = ({ message }) => tell.error(message);
    return { send: (data) => client.send(data), close: () => client.close(1000) };
  },

  websocket(url, tell) {
    const client = new websocket.client();
    const made = {};
    client.on('connectFailed', (error) => tell.error(error.message));
    client.on('connect', (connection) => {
      connection.on('message', ({ type, utf8Data, binaryData }) =>
        tell.message(type === 'binary' ? binaryData : Buffer.from(utf8Data), type === 'binary'));
      connection.on('pong', tell.pong);
      connection.on('close', tell.close);
      connection.on('error', (error) => tell.error(error.message));
      made.send = (data) => (typeof data === 'string' ? connection.sendUTF(data) : connection.sendBytes(data));
      made.ping = () => connection.ping('');
      made.close = () => connection.close(1000);
      tell.open('');
    });
    client.connect(url);
    return made;
  },

  faye(url, tell) {
    const client = new FayeWebSocket.Client(url);
    client.on('open', () => tell.open(''));
    client.on('message', ({ data }) => tell.message(Buffer.from(data), typeof data !== 'string'));
    client.on('close', ({ code, reason }) => tell.close(code, reason));
    client.on('error', ({ message }) => tell.error(message));
    return {
      send: (data) => client.send(data),
      ping: () => client.ping('', tell.pong),
      close: () => client.close(1000),
    };
  },
};
