// The contract of plugin/codec.proto for codecs without state: what a plugin in Node.js
// needs whatever its format is. phoenix.mjs is a codec.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

// A plugin that lives elsewhere has a copy of this file.
const contract = fileURLToPath(new URL('../../../plugin/codec.proto', import.meta.url));

/** A client broke the format in a way that ends its connection. */
export class Violation extends Error {
  constructor(reason, text) {
    super(text);
    this.reason = reason;
  }
}

/**
 * Serves a codec until the broker ends the process:
 *
 *   codec.describe(options)  returns a Description, or throws what is wrong with the options
 *   codec.decode(frame)      returns the steps that a client's message asks for, or throws a Violation
 *   codec.encode(event)      returns the frame that a client reads for an event; nothing if there is none
 */
export function serve(codec) {
  if (process.env.POLYWIRE_PLUGIN !== 'codec') {
    console.error('This is a codec plugin. polywire starts it: see README.md.');
    process.exit(1);
  }
  const { Codec } = grpc.loadPackageDefinition(
    // Enums are names, numbers of 64 bits text (connection numbers do not fit a double), and
    // what a message leaves out is there with its default.
    loadSync(contract, { keepCase: true, enums: String, longs: String, defaults: true, oneofs: true }),
  ).polywire.codec.v1;

  // A message has many questions under load: it may be of any size.
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 });
  server.addService(Codec.service, {
    Describe: ({ request }, reply) => reply(null, describe(codec, request)),
    Translate: (stream) => translate(codec, stream),
  });

  // The handshake: the one line that goes to stdout. After it the broker calls.
  const socket = join(process.env.PLUGIN_UNIX_SOCKET_DIR, 'phoenix.sock');
  server.bindAsync(`unix:${socket}`, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
    console.log(`1|1|unix|${socket}|grpc`);
  });
}

function describe(codec, request) {
  const description = { contract: 1 };
  try {
    const options = JSON.parse(request.options.toString() || '{}');
    return Object.assign(description, codec.describe(options));
  } catch (error) {
    return Object.assign(description, { problems: [{ text: error.message }] });
  }
}

// For each message of questions one message with as many answers, in the same order.
function translate(codec, stream) {
  stream.on('data', ({ questions }) => stream.write({ answers: questions.map((q) => answer(codec, q)) }));
  // Its end is the end of the process.
  for (const end of ['end', 'error', 'cancelled']) stream.on(end, () => process.exit());
}

function answer(codec, question) {
  try {
    switch (question.ask) {
      case 'frame':
        return { steps: codec.decode(question.frame) };
      case 'event':
        return { frame: codec.encode(question.event) };
      case 'message': // for many clients at once
        return { frame: codec.encode(question.message) };
    }
    return {}; // open: there is no greeting, and nothing to subscribe to
  } catch (error) {
    if (error instanceof Violation) return { violation: { reason: error.reason, text: error.message } };
    // A mistake of the codec costs one connection. stderr is the broker's log.
    console.error(JSON.stringify({ level: 'ERROR', msg: 'codec threw', conn: question.conn, stack: error.stack }));
    return { violation: { reason: 'internal', text: error.message } };
  }
}
