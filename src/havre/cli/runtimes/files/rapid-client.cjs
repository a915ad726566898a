// What AWS's runtime interface client has its module in C++ for, in JavaScript: requests to the Runtime API over one
// connection. So nothing is compiled when a runtime is built, and nothing changes threads when a function is invoked.
"use strict";

const net = require("node:net");

const [HOST, PORT] = (process.env.AWS_LAMBDA_RUNTIME_API ?? "").split(":");
const ROOT = "/2018-06-01/runtime/invocation/";
const HEAD_END = Buffer.from("\r\n\r\n");
const TELL = [
  "lambda-runtime-aws-request-id", "lambda-runtime-trace-id", "lambda-runtime-invoked-function-arn",
  "lambda-runtime-client-context", "lambda-runtime-cognito-identity", "lambda-runtime-aws-tenant-id",
];

// One request at a time: the first has been sent, the others wait for its answer.
function channel() {
  let socket = null;
  let pieces = [];
  let size = 0;
  let answer = null; // of which the head was read: { status, headers, length, from }
  const asked = [];

  // While nobody waits, the connection does not keep the event loop alive: handlers may wait for it to be empty.
  function connection() {
    if (socket === null) {
      socket = net.connect({ host: HOST, port: Number(PORT), noDelay: true });
      socket.on("data", received).on("error", broken).on("close", () => broken(new Error("the connection has ended")));
    }
    return socket.ref();
  }

  function broken(error) {
    socket?.removeAllListeners().on("error", () => {}).destroy();
    socket = answer = null;
    pieces = [];
    size = 0;
    for (const one of asked.splice(0)) one.reject(error);
  }

  function received(piece) {
    pieces.push(piece);
    size += piece.length;
    if (answer === null && !readHead()) return;
    if (size < answer.from + answer.length) return;
    const { status, headers, from, length } = answer;
    const body = joined().toString("utf8", from, from + length);
    answer = null;
    pieces = [];
    size = 0;
    const one = asked.shift();
    if (asked.length > 0) connection().write(asked[0].text);
    else socket.unref();
    one.resolve({ status, headers, body });
  }

  function joined() {
    if (pieces.length > 1) pieces = [Buffer.concat(pieces, size)];
    return pieces[0];
  }

  function readHead() {
    const all = joined();
    const end = all.indexOf(HEAD_END);
    if (end < 0) return false;
    const [first, ...lines] = all.toString("latin1", 0, end).split("\r\n");
    const headers = {};
    for (const line of lines) {
      const colon = line.indexOf(":");
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    answer = { status: Number(first.split(" ")[1]), headers, length: Number(headers["content-length"] ?? 0), from: end + 4 };
    return true;
  }

  // A small one has left when this returns, as with the module in C++: whoever ends the process then has answered.
  return function request(head, body) {
    const length = body === undefined ? "" : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
    const text = `${head}\r\nHost: ${HOST}:${PORT}\r\n${length}\r\n${body ?? ""}`;
    return new Promise((resolve, reject) => {
      if (asked.push({ text, resolve, reject }) === 1) connection().write(text);
    });
  };
}

const ask = channel();
// On a capacity provider the next invocation is asked for while others are at work: their answers do not wait behind it.
const tell = process.env.AWS_LAMBDA_MAX_CONCURRENCY === undefined ? ask : channel();

async function next() {
  const { status, headers, body } = await ask(`GET ${ROOT}next HTTP/1.1`);
  if (status !== 200) throw new Error(`Failed to get next invocation, error ${status}`);
  const told = { "lambda-runtime-deadline-ms": Number(headers["lambda-runtime-deadline-ms"]) };
  for (const name of TELL) if (headers[name]) told[name] = headers[name];
  return { bodyJson: body, headers: told };
}

function report(head, body) {
  tell(head, body).catch((error) => process.emitWarning(`the Runtime API: ${error.message}`));
}

function done(id, body) {
  report(`POST ${ROOT}${id}/response HTTP/1.1`, body);
}

const LARGEST_CAUSE = 1 << 20;

function error(id, body, cause) {
  const xray = cause && cause.length < LARGEST_CAUSE ? `\r\nLambda-Runtime-Function-XRay-Error-Cause: ${cause}` : "";
  report(`POST ${ROOT}${id}/error HTTP/1.1\r\nLambda-Runtime-Function-Error-Type: Unhandled${xray}`, body);
}

module.exports = { next, done, error };
