// java Client.java URL: a client of java.net.http, the WebSocket client that comes with
// Java, which does what it reads on stdin and says on stdout what happens.
//
//   stdin   send text BASE64    send binary BASE64    ping    close
//   stdout  the JSON objects of ../node/client.mjs
//
// Every message is sent in three fragments. It ends when the connection does, or when
// stdin does.

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.concurrent.CompletionStage;

public class Client implements WebSocket.Listener {
    private final StringBuilder text = new StringBuilder();
    private final ByteArrayOutputStream binary = new ByteArrayOutputStream();

    public static void main(String[] args) throws Exception {
        WebSocket socket;
        try {
            socket = HttpClient.newHttpClient().newWebSocketBuilder()
                .buildAsync(URI.create(args[0]), new Client()).join();
        } catch (Exception e) {
            say("error", "reason", e.toString());
            return;
        }
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null;) {
            String[] words = line.split(" ", 3);
            switch (words[0]) {
                case "send":
                    byte[] bytes = Base64.getDecoder().decode(words[2]);
                    if (words[1].equals("binary")) {
                        sendBinary(socket, bytes);
                    } else {
                        sendText(socket, new String(bytes, StandardCharsets.UTF_8));
                    }
                    break;
                case "ping":
                    socket.sendPing(ByteBuffer.wrap(new byte[] {1, 2, 3})).join();
                    break;
                case "close":
                    socket.sendClose(WebSocket.NORMAL_CLOSURE, "").join();
                    break;
                default:
                    say("error", "reason", "unknown order " + line);
            }
        }
        System.exit(0);
    }

    private static void sendText(WebSocket socket, String text) {
        int n = text.codePointCount(0, text.length());
        int first = text.offsetByCodePoints(0, n / 3);
        int second = text.offsetByCodePoints(0, 2 * n / 3);
        socket.sendText(text.substring(0, first), false).join();
        socket.sendText(text.substring(first, second), false).join();
        socket.sendText(text.substring(second), true).join();
    }

    private static void sendBinary(WebSocket socket, byte[] bytes) {
        int first = bytes.length / 3;
        int second = 2 * bytes.length / 3;
        socket.sendBinary(ByteBuffer.wrap(bytes, 0, first), false).join();
        socket.sendBinary(ByteBuffer.wrap(bytes, first, second - first), false).join();
        socket.sendBinary(ByteBuffer.wrap(bytes, second, bytes.length - second), true).join();
    }

    @Override
    public void onOpen(WebSocket socket) {
        say("open");
        socket.request(1);
    }

    @Override
    public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean last) {
        text.append(part);
        if (last) {
            message(text.toString().getBytes(StandardCharsets.UTF_8), false);
            text.setLength(0);
        }
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer part, boolean last) {
        byte[] bytes = new byte[part.remaining()];
        part.get(bytes);
        binary.writeBytes(bytes);
        if (last) {
            message(binary.toByteArray(), true);
            binary.reset();
        }
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onPong(WebSocket socket, ByteBuffer data) {
        say("pong");
        socket.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
        print("{\"event\":\"close\",\"code\":" + code + ",\"reason\":" + quote(reason) + "}");
        // Java answers the close by itself, once this has returned.
        new Thread(() -> {
            try {
                Thread.sleep(200);
            } catch (InterruptedException e) {
                // It ends anyway.
            }
            System.exit(0);
        }).start();
        return null;
    }

    @Override
    public void onError(WebSocket socket, Throwable error) {
        say("error", "reason", error.toString());
        System.exit(0);
    }

    private static void message(byte[] bytes, boolean binary) {
        print("{\"event\":\"message\",\"data\":\"" + Base64.getEncoder().encodeToString(bytes) + "\",\"binary\":" + binary + "}");
    }

    private static void say(String event) {
        print("{\"event\":\"" + event + "\"}");
    }

    private static void say(String event, String key, String value) {
        print("{\"event\":\"" + event + "\",\"" + key + "\":" + quote(value) + "}");
    }

    private static synchronized void print(String line) {
        System.out.println(line);
        System.out.flush();
    }

    private static String quote(String s) {
        StringBuilder b = new StringBuilder("\"");
        for (char c : s.toCharArray()) {
            if (c == '"' || c == '\\') {
                b.append('\\').append(c);
            } else if (c < ' ' || c > '~') {
                b.append(String.format("\\u%04x", (int) c));
            } else {
                b.append(c);
            }
        }
        return b.append('"').toString();
    }
}
