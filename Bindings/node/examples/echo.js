'use strict';

// node echo.js [ADDRESS]: an echo server that says where it listens, and on SIGTERM ends in order:
// it accepts no more, sends what is queued, and waits until each peer has it.
//
// The loop runs in a worker, so that the main thread can hear of the signal. Then it posts to the
// loop.

const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const { Loop, Poster, ACCEPTED, CLOSED, DATA, POSTED } = require('..');

function serve(loop, listener) {
  const streams = new Set();
  let isEnding = false;
  while (!isEnding || streams.size > 0) {
    const event = loop.next();
    switch (event?.kind) {
      case ACCEPTED:
        streams.add(event.id);
        break;
      case DATA:
        loop.write(event.id, event.data);
        break;
      case CLOSED:
        streams.delete(event.id);
        break;
      case POSTED:
        isEnding = true;
        loop.close(listener);
        for (const stream of streams) loop.close(stream);
        break;
    }
  }
}

function work(address) {
  const loop = new Loop();
  const listener = loop.listen(address);
  parentPort.postMessage({ address: loop.localAddress(listener), poster: loop.poster });
  serve(loop, listener);
  loop.destroy();
}

function start(address) {
  const worker = new Worker(__filename, { workerData: address });
  worker.once('message', ({ address, poster }) => {
    process.once('SIGTERM', () => new Poster(poster).post(0));
    console.log('listening on', address);
  });
  worker.once('error', (error) => {
    console.error(`echo: ${error.message}`);
    process.exitCode = 1;
  });
}

if (isMainThread) start(process.argv[2] ?? '127.0.0.1:9999');
else work(workerData);
