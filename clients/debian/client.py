"""client.py URL: a WebSocket client of Tornado that speaks on stdin and stdout the
language which node/client.mjs describes."""
import asyncio
import base64
import json
import sys

from tornado.websocket import websocket_connect


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


async def main(url):
    messages = asyncio.Queue()
    try:
        client = await websocket_connect(url, on_message_callback=messages.put_nowait, compression_options={}, max_message_size=64 << 20)
    except Exception as e:
        say("error", reason=repr(e))
        return
    client.on_pong = lambda data: say("pong")
    say("open", extensions=client.headers.get("Sec-WebSocket-Extensions", ""))
    obeying = asyncio.create_task(obey(client))
    while (message := await messages.get()) is not None:
        data = message.encode() if isinstance(message, str) else message
        say("message", data=base64.b64encode(data).decode(), binary=isinstance(message, bytes))
    obeying.cancel()
    say("close", code=client.close_code or 1006, reason=client.close_reason or "")


async def obey(client):
    orders = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order = json.loads(line)
        if order["do"] == "send":
            data = base64.b64decode(order["data"] or "")
            await client.write_message(data if order["binary"] else data.decode(), binary=order["binary"])
        elif order["do"] == "ping":
            client.ping()
        else:
            client.close(1000)
    client.close()


asyncio.run(main(sys.argv[1]))
