// Phoenix channels, protocol version 2.0.0 (https://hexdocs.pm/phoenix/writing_a_channels_client.html),
// as a codec plugin: clients of the Phoenix framework talk to those of all other formats.
//
// A message is [join_ref, ref, topic, event, payload]. In the broker's language:
//
//   client                                        broker
//   topic "phoenix", event "heartbeat"  ───────>  PING
//   TOPIC, "phx_join"  ────────────────────────>  SUBSCRIBE TOPIC/+
//   TOPIC, "phx_leave"  ───────────────────────>  UNSUBSCRIBE TOPIC/+
//   TOPIC, EVENT  ─────────────────────────────>  PUBLISH TOPIC/EVENT
//   "rpc", SERVICE  ───────────────────────────>  CALL SERVICE
//        <── event "phx_reply", status "ok"       DONE, PONG, ANSWER
//        <── event "phx_reply", status "error"    FAILED
//        <── [null, null, TOPIC, EVENT, payload]  MESSAGE on TOPIC/EVENT
//
// The codec keeps nothing of a connection: what a reply needs (join_ref, ref and topic)
// is in the Ref of the command, which its outcome brings back. So the plugin may be
// restarted at any time, and clients do not notice.
import { serve, Violation } from './plugin.mjs';

const describe = (options) => {
  for (const key of Object.keys(options)) throw new Error(`there is no option ${JSON.stringify(key)}`);
  return {
    format: 'phoenix',
    listen: ':4000',
    path: '/socket/websocket',
    profile: { max_message: 1 << 20, idle_timeout: 60_000 }, // clients send a heartbeat every 30 s
  };
};

// The parts of a message as they are written. The payload is not parsed and written
// again: JSON.parse would round 9007199254740993.
const text = String.raw`"(?:[^"\\]|\\.)*"`;
const message = new RegExp(
  String.raw`^\s*\[\s*(null|${text})\s*,\s*(null|${text})\s*,\s*(${text})\s*,\s*(${text})\s*,([^]*)\]\s*$`,
);

function decode({ kind, data }) {
  if (kind !== 'TEXT') throw new Violation('wrong_frame', 'binary pushes are not supported');
  const found = message.exec(data.toString());
  let topic, event, payload;
  try {
    topic = JSON.parse(found[3]);
    event = JSON.parse(found[4]);
    payload = found[5].trim();
    JSON.parse(payload);
  } catch {
    throw new Violation('malformed', 'a message is [join_ref, ref, topic, event, payload]');
  }

  const ref = Buffer.from(`${found[1]},${found[2]},${found[3]}`);
  // How the client's reply reads if all goes well: with it the broker need not ask.
  const usual = { ref, expected: reply(ref, 'ok', '{}') };
  if (event === 'heartbeat' && topic === 'phoenix') return [command('PING', usual)];
  if (topic === 'rpc') {
    // The channel of calls is nothing to hear.
    if (event === 'phx_join' || event === 'phx_leave') return [command('PING', usual)];
    return [command('CALL', { ref, topic: bytes(event), payload: json(payload) })];
  }
  if (event === 'phx_join' || event === 'phx_leave') {
    if (/(^|\/)[+#]/.test(topic)) return [refusal(ref, `no level of a topic may begin with + or #`)];
    const verb = event === 'phx_join' ? 'SUBSCRIBE' : 'UNSUBSCRIBE';
    return [command(verb, { ...usual, topic: bytes(`${topic}/+`), pattern: true })];
  }
  if (event === '' || event.includes('/')) return [refusal(ref, 'an event is a name without slashes')];
  return [command('PUBLISH', { ...usual, topic: bytes(`${topic}/${event}`), payload: json(payload) })];
}

function encode(event) {
  switch (event.kind) {
    case 'EVENT_DONE':
      if (event.verb === 'VERB_CALL') return undefined; // it was taken; the answer follows
      return reply(event.ref, 'ok', '{}');
    case 'EVENT_PONG':
      return reply(event.ref, 'ok', '{}');
    case 'EVENT_ANSWER':
      return reply(event.ref, 'ok', jsonOf(event.payload));
    case 'EVENT_FAILED': {
      const { code, text } = event.failure;
      return reply(event.ref, 'error', JSON.stringify({ reason: code, text }));
    }
    case 'EVENT_MESSAGE': {
      const name = event.topic.toString();
      const slash = name.lastIndexOf('/');
      const [topic, type] = [name.slice(0, slash), name.slice(slash + 1)].map((s) => JSON.stringify(s));
      return frame(`[null,null,${topic},${type},${jsonOf(event.payload)}]`);
    }
  }
  return undefined; // the format has no word for it
}

const bytes = (s) => Buffer.from(s);
const frame = (s) => ({ kind: 'TEXT', data: bytes(s) });
const reply = (ref, status, response) =>
  frame(`[${ref},"phx_reply",{"status":"${status}","response":${response}}]`);
const command = (verb, fields) => ({ command: { verb: `VERB_${verb}`, ...fields } });
const refusal = (ref, text) => ({ refusal: { reason: 'denied', ref, failure: { code: 'denied', text } } });
const json = (s) => ({ kind: 'PAYLOAD_JSON', data: bytes(s) });

// How payloads of other formats read in one that speaks JSON.
function jsonOf(payload) {
  if (!payload || payload.kind === 'PAYLOAD_ABSENT') return 'null';
  const { kind, data } = payload;
  const s = data.toString();
  if (kind === 'PAYLOAD_JSON') return s;
  if (kind === 'PAYLOAD_BINARY' && !bytes(s).equals(data)) return JSON.stringify({ $binary: data.toString('base64') });
  try {
    JSON.parse(s);
    return s;
  } catch {
    return JSON.stringify(s);
  }
}

serve({ describe, decode, encode });
