// The least that a program of Bun can do for a fan-out: `server.publish`, with as much of the client protocol around it as
// the load generator speaks, and canned replies. No authentication, history, limits or pings.
//
//   bun bun.js PORT PUSH_BYTES     pushes are padded with spaces to PUSH_BYTES, to equal another server's

const [port, pushBytes] = Bun.argv.slice(2).map(Number);

/** Answers one command and does what it asks for. */
function answer(socket, { id, subscribe, publish }) {
  if (subscribe) {
    socket.subscribe(subscribe.channel);
    return `{"id":${id},"subscribe":{}}`;
  }
  if (publish) {
    const push = JSON.stringify({ push: { channel: publish.channel, pub: { data: publish.data } } });
    server.publish(publish.channel, push.padEnd(pushBytes));
    return `{"id":${id},"publish":{}}`;
  }
  return `{"id":${id},"connect":{}}`;
}

const server = Bun.serve({
  hostname: "127.0.0.1",
  port,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response(null, { status: 404 })),
  websocket: {
    perMessageDeflate: false,
    sendPings: false,
    idleTimeout: 0,
    message(socket, text) {
      const commands = text.split("\n").filter((line) => line && line !== "{}");
      if (commands.length > 0) socket.send(commands.map((line) => answer(socket, JSON.parse(line))).join("\n"));
    },
  },
});
