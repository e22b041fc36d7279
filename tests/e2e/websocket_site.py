"""What the WebSocket tests put beside a settings file: applications of bare ASGI, Starlette and FastAPI, and a page for a browser."""

BARE = """
from pathlib import Path

ENDS = Path(__file__).with_name("ends.txt")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"not a WebSocket"})
    else:
        await serve(scope, receive, send)


async def serve(scope, receive, send):
    await receive()
    what = scope["path"].rpartition("/")[2]
    if what == "refused":
        await send({"type": "websocket.close"})
        return
    if what == "denied":
        headers = [(b"www-authenticate", b"Basic")]
        await send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"who are you?"})
        return
    subprotocol = next((each for each in scope["subprotocols"] if each != "unknown"), None)
    await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": [(b"x-root", scope["root_path"].encode())]})
    if what == "closes":
        await send({"type": "websocket.close", "code": 4321, "reason": "enough"})
    if what == "fails":
        raise RuntimeError("as the test wants it")
    if what == "floods":
        await flood(send)
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
    with ENDS.open("a") as ends:
        ends.write(f"{what} {message['code']} {message['reason']}\\n")


async def flood(send):
    sent = 0
    try:
        while True:
            await send({"type": "websocket.send", "bytes": bytes(100_000)})
            sent += 1
            ENDS.with_name("sent.txt").write_text(str(sent))
    except OSError:
        with ENDS.open("a") as ends:
            ends.write("flood ended\\n")
        raise
"""

STARLETTE = """
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket


class Echo(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket, data):
        await websocket.send_text(f"{websocket.path_params['name']}: {data}")


async def counts(websocket: WebSocket):
    await websocket.accept(subprotocol="count")
    async for message in websocket.iter_json():
        await websocket.send_json({"sum": sum(message)})


async def denies(websocket: WebSocket):
    await websocket.send_denial_response(PlainTextResponse("not you", 418))


app = Starlette(
    routes=[WebSocketRoute("/echo/{name}", Echo), WebSocketRoute("/counts", counts), WebSocketRoute("/denies", denies)]
)
"""

FASTAPI = """
from fastapi import Depends, FastAPI, Query, WebSocket, WebSocketDisconnect, WebSocketException

app = FastAPI()
present = set()


async def checked(token: str = Query("")):
    if token != "secret":
        raise WebSocketException(1008, "no token")
    return token


@app.websocket("/chat/{room}")
async def chat(websocket: WebSocket, room: str, token: str = Depends(checked)):
    await websocket.accept()
    present.add(websocket)
    try:
        while True:
            text = await websocket.receive_text()
            for each in list(present):
                await each.send_text(f"{room}: {text}")
    except WebSocketDisconnect:
        present.remove(websocket)
        for each in list(present):
            await each.send_text(f"{room}: somebody left")
"""

PAGE = """<!doctype html>
<title>A page with a WebSocket</title>
<p id="told">nothing yet</p>
<script>
  const seen = [];
  const socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/page`, ["chat"]);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    socket.send("gr\u00fc\u00dfe");
    socket.send(new Uint8Array(70000));
    socket.send("x".repeat(100000));
  };
  socket.onmessage = event => {
    seen.push(typeof event.data === "string" ? event.data.slice(0, 5) : `${event.data.byteLength} octets`);
    if (seen.length === 3) socket.close(4000, "enough");
  };
  socket.onclose = event => {
    document.getElementById("told").textContent =
      `closed ${event.code} ${event.wasClean} ${socket.protocol} ${socket.extensions} ${seen.join(", ")}`;
  };
</script>
"""
