'use strict';

// What is reported, and never undefined. Says "ok WHAT" for each, and fails by an exception.
//
// Node.js cannot duplicate a descriptor. Where a loop is to be given one that another has, a child
// gets it as its descriptor 3, and runs one function of `children`.

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const v8 = require('node:v8');
const vm = require('node:vm');
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const sluice = require('..');

const { Loop, Poster } = sluice;

const refused = (code, call, words = '') =>
  assert.throws(call, (error) => {
    assert.equal(error.code, code, error.stack);
    assert.ok(error.message.includes(words), `${error.message}, and not ${words}`);
    return true;
  });

function pull(loop, kind, id) {
  for (const event of loop) if (event.kind === kind && (id === undefined || event.id === id)) return event;
  return assert.fail();
}

// A stream of a listener, and its peer, which is the same loop's.
function pair(loop, options, peerOptions) {
  const listener = loop.listen('127.0.0.1:0', options);
  const peer = loop.connect(loop.localAddress(listener), peerOptions);
  const accepted = pull(loop, sluice.ACCEPTED);
  assert.equal(accepted.value, listener);
  loop.close(listener);
  return [accepted.id, peer];
}

// What a peer receives next, and so many bytes of it.
function received(loop, peer, length) {
  let text = '';
  while (text.length < length) text += pull(loop, sluice.DATA, peer).data;
  return text;
}

function inChild(name, fd, word = '') {
  const child = spawnSync(process.execPath, [__filename, name, word], { stdio: ['ignore', 'pipe', 'pipe', fd] });
  assert.equal(child.status, 0, `${child.stdout}${child.stderr}`);
}

const children = {
  listener() {
    const loop = new Loop();
    const listener = loop.listenFd(3);
    const stream = loop.connect(loop.localAddress(listener));
    pull(loop, sluice.CONNECTED, stream);
    refused('SLUICE_ENOLISTEN', () => loop.listenFd(loop.fd(stream)));
  },

  adopted() {
    const loop = new Loop();
    const stream = loop.adopt(3, { halfOpen: true, throttled: true });
    assert.equal(String(pull(loop, sluice.DATA, stream).data), 'hello');
    pull(loop, sluice.EOF, stream);
    assert.equal(loop.write(stream, 'half-open'), sluice.QUEUED); // or it would be closed by now
    loop.close(stream);
    assert.equal(pull(loop, sluice.CLOSED, stream).error, null);
  },

  // What a signal did before it was a loop's, it does again afterwards.
  signalled() {
    const loop = new Loop();
    const signal = loop.signal('SIGTERM');
    process.kill(process.pid, 'SIGTERM');
    pull(loop, sluice.SIGNAL, signal);
    if (process.argv[3] === 'close') loop.close(signal);
    else loop.destroy();
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.exit(0), 10_000);
  },

  // A listener may be added while a loop has the signal. It is called for signals that come after the handle's end.
  listened() {
    const loop = new Loop();
    const signal = loop.signal('SIGTERM');
    process.on('SIGTERM', () => process.exit(7));
    hearsOf(loop, signal);
    loop.close(signal);
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.exit(0), 10_000);
  },

  // The last listener may be removed while a loop has the signal. The loop keeps it. After the handle's end comes the default.
  unheard() {
    const loop = new Loop();
    const listener = () => process.exit(0);
    process.on('SIGTERM', listener);
    const signal = loop.signal('SIGTERM');
    process.off('SIGTERM', listener);
    hearsOf(loop, signal);
    process.once('SIGTERM', listener);
    process.removeAllListeners('SIGTERM');
    hearsOf(loop, signal);
    loop.close(signal);
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.exit(0), 10_000);
  },

  // The same for a loop of a worker.
  async unheardByAWorker() {
    const listener = () => process.exit(0);
    process.on('SIGTERM', listener);
    const worker = started('signal');
    assert.equal(await answer(worker), 'ready');
    process.off('SIGTERM', listener);
    process.kill(process.pid, 'SIGTERM');
    assert.equal(await answer(worker), os.constants.signals.SIGTERM);
    process.exit(7);
  },

  // Its main thread ends while a worker is in a pull, or in a poller's wait.
  exit() {
    const worker = new Worker(__filename, { workerData: process.argv[3] });
    worker.once('message', () => process.exit(0));
  },
};

const workers = {
  signal() {
    const loop = new Loop();
    loop.signal('SIGTERM');
    parentPort.postMessage('ready');
    parentPort.postMessage(pull(loop, sluice.SIGNAL).value);
  },

  // Posts to the loop of the thread that started it.
  post({ poster, copy }) {
    assert.ok(!(copy instanceof Loop));
    refused(undefined, () => Loop.prototype.next.call(copy, 0));
    const other = new Poster(poster);
    other.wake();
    other.post(7);
  },

  pull() {
    const loop = new Loop();
    parentPort.postMessage(loop.poster);
    loop.next();
  },

  poll() {
    const poller = new sluice.Poller();
    parentPort.postMessage(poller.poster);
    assert.deepEqual(poller.wait(), []);
    parentPort.postMessage('woken');
  },

  // Ends one loop after another, while the thread that started it posts to each.
  ends({ shared }) {
    parentPort.postMessage('ready');
    for (let i = 0; i < 300; i++) {
      const loop = new Loop();
      Atomics.store(shared, 0, loop.poster);
      for (let pulls = 0; pulls < 5; pulls++) loop.next(0);
      loop.destroy();
    }
    Atomics.store(shared, 0, -1n);
  },

  echo() {
    const loop = new Loop();
    const [stream, peer] = pair(loop);
    loop.write(peer, workerData.text);
    loop.write(stream, pull(loop, sluice.DATA, stream).data);
    parentPort.postMessage(received(loop, peer, workerData.text.length));
  },
};

const started = (name, data) => new Worker(__filename, { workerData: { name, ...data } });
const answer = (worker, event = 'message') =>
  new Promise((resolve, reject) => worker.once(event, resolve).once('error', reject));

// The loop gets each signal, whichever thread of Node.js the kernel sends it to.
function hearsOf(loop, signal) {
  for (let i = 0; i < 20; i++) {
    process.kill(process.pid, 'SIGTERM');
    pull(loop, sluice.SIGNAL, signal);
  }
}

// All calls that need not know that a stream is gone.
function useGone(loop, gone, other) {
  loop.pause(gone);
  loop.resume(gone);
  loop.hold(gone, 1);
  loop.holdUntil(gone, 1, 2);
  loop.forward(gone, other);
  loop.forward(other, gone);
  for (const result of [loop.flush(gone), loop.shutdown(gone), loop.write(gone, ''), loop.tryWrite(gone, '')]) {
    assert.equal(result, sluice.GONE);
  }
  loop.close(gone);
  loop.abort(gone);
}

// What loop `loop` is given, for the call that is refused for it.
const listening = (loop, options) => () => loop.listen('127.0.0.1:0', options);
const connecting = (loop, options) => () => loop.connect('127.0.0.1:1', options);

const checks = {
  'stale id'(loop) {
    const timer = loop.timer(1000);
    loop.close(timer);
    const other = loop.timer(1000);
    assert.equal(sluice.slotOf(other), sluice.slotOf(timer));
    refused('SLUICE_ESTALE', () => loop.timerReset(timer, 1000));
    refused('SLUICE_ESTALE', () => loop.fd(timer));
    refused('SLUICE_ESTALE', () => loop.fd(0n));
    loop.close(timer);
    assert.equal(loop.write(timer, 'x'), sluice.GONE);
  },

  'wrong kind'(loop) {
    const timer = loop.timer(1000);
    refused('SLUICE_EKIND', () => loop.write(timer, ''));
    assert.equal(loop.kindOf(timer), 2);
  },

  async 'wrong thread'(loop) {
    const worker = started('post', { poster: loop.poster, copy: loop });
    const exit = answer(worker, 'exit');
    assert.equal(pull(loop, sluice.POSTED).value, 7n);
    assert.equal(await exit, 0);
  },

  'use after close'() {
    const loop = new Loop();
    const { poster } = loop;
    const timer = loop.timer(1000);
    loop.destroy();
    loop.destroy();
    const calls = [
      () => loop.next(),
      () => loop.timer(1),
      () => loop.close(timer),
      () => loop.write(timer, ''),
      () => loop.listen('127.0.0.1:0'),
      () => loop.stats(),
      () => loop.now(),
      () => loop.untilNext(),
      () => loop.pending(timer),
      () => loop.poster,
      () => loop.wake(),
      () => new Poster(poster).post(1),
      () => new Poster(poster).wake(),
      () => new Poster(12345n).wake(),
    ];
    for (const call of calls) refused('SLUICE_ENULL', call, 'ended');
  },

  errors(loop) {
    refused('SLUICE_EADDRESS', () => loop.listen('no address'));
    const withNul = '127.0.0.1:0\0';
    refused('SLUICE_EADDRESS', () => loop.listen(withNul));
    refused('SLUICE_EADDRESS', () => loop.connect(withNul));
    refused('SLUICE_EADDRESS', () => loop.resolve(withNul));
    refused('SLUICE_EPATH', () => loop.listen(`unix:/${'x'.repeat(5000)}`));
    refused('ENOENT', () => loop.listen('unix:/no/such/folder/s'), 'no such file');
    refused('SLUICE_ETIMEOUT', () => loop.next(-1));
    assert.equal(loop.next(0), null);
    refused('SLUICE_EPORT', () => loop.listen('127.0.0.1:99999'));
    refused('SLUICE_ENUMERIC', () => loop.connect('*:80'));
    const address = loop.localAddress(loop.listen('127.0.0.1:0'));
    assert.throws(() => loop.listen(address), { code: 'EADDRINUSE', errno: -os.constants.errno.EADDRINUSE });
    assert.throws(() => loop.fd(1n), { errno: -os.constants.errno.ESTALE });
  },

  'arguments of another type'(loop) {
    const [stream] = pair(loop);
    const type = 'ERR_INVALID_ARG_TYPE';
    const range = 'ERR_OUT_OF_RANGE';
    refused(type, () => loop.write(1, ''));
    refused(type, () => loop.write(stream, 5));
    refused(type, () => loop.write(stream));
    refused(type, () => loop.listen(5));
    refused(type, () => loop.next('soon'));
    refused(type, () => new Poster(5));
    refused(range, () => loop.next(NaN));
    refused(range, () => loop.close(-1n));
    refused(range, () => loop.close(1n << 64n));
    refused(range, () => loop.hold(stream, -1));
    refused(range, () => loop.hold(stream, 1.5));
    refused(range, () => loop.watch(0.5, sluice.READ));
    refused(range, () => loop.watch(0, -1));
    refused(undefined, () => Loop.prototype.next.call({}, 0)); // a TypeError of the language's
    assert.equal(loop.write(stream, new Uint16Array([1, 2]).subarray(1)), sluice.QUEUED);
    assert.equal(loop.pending(stream), 2);
    assert.equal(loop.write(stream, new DataView(new ArrayBuffer(3))), sluice.QUEUED);
    assert.equal(loop.write(stream, Buffer.from(new SharedArrayBuffer(4))), sluice.QUEUED);
    assert.equal(loop.pending(stream), 9);
  },

  wake(loop) {
    loop.wake();
    assert.equal(loop.next(), null);
    assert.ok(loop.now() <= loop.updateNow());
    assert.equal(loop.untilNext(), Infinity);
    loop.post((1n << 64n) - 1n);
    assert.equal(pull(loop, sluice.POSTED).value, (1n << 64n) - 1n);
  },

  'what became of a write'(loop) {
    const [stream] = pair(loop);
    assert.equal(loop.write(stream, 'x'), sluice.QUEUED);
    assert.equal(loop.write(stream, Buffer.alloc(20_000_000)), sluice.OVER_HIGH_MARK);
    loop.shutdown(stream);
    assert.equal(loop.write(stream, 'x'), sluice.GONE);
  },

  names(loop) {
    const address = loop.localAddress(loop.listen('localhost:0'));
    pull(loop, sluice.CONNECTED, loop.connect(`localhost${address.slice(address.lastIndexOf(':'))}`));
    const lookup = loop.resolve('localhost:443', 4);
    assert.deepEqual(pull(loop, sluice.RESOLVED, lookup).addresses, ['127.0.0.1:443']);
    const unknown = 'sluice.invalid:80'; // nobody has it: RFC 6761
    const { error } = pull(loop, sluice.RESOLVED, loop.resolve(unknown));
    assert.equal(error.code, 'SLUICE_ENAME');
    const closed = pull(loop, sluice.CLOSED, loop.connect(unknown));
    assert.equal(closed.error.message, error.message);
    assert.match(error.message, /: .*: ./); // the resolver's own words, too
  },

  'listener from elsewhere'(loop) {
    inChild('listener', loop.fd(loop.listen('127.0.0.1:0')));
  },

  'a stream that is gone'(loop) {
    const [closing] = pair(loop);
    const [aborted] = pair(loop);
    const [shut] = pair(loop);
    const [well, peer] = pair(loop);
    loop.close(closing);
    loop.abort(aborted);
    loop.shutdown(shut);
    for (const stream of [closing, aborted, shut]) assert.equal(loop.write(stream, 'to all'), sluice.GONE);
    assert.equal(loop.write(well, 'to all'), sluice.QUEUED);
    useGone(loop, aborted, well);
    assert.equal(pull(loop, sluice.CLOSED, aborted).error.code, 'ECONNABORTED');
    useGone(loop, aborted, well);
    refused('SLUICE_ESTALE', () => loop.peerAddress(aborted));
    assert.equal(received(loop, peer, 6), 'to all');
    loop.write(peer, 'and back');
    assert.equal(String(pull(loop, sluice.DATA, well).data), 'and back');
  },

  'over the hard limit'() {
    const loop = new Loop({ hardLimit: 20 });
    const [stream] = pair(loop);
    const [other, peer] = pair(loop);
    assert.equal(loop.write(stream, Buffer.alloc(20)), sluice.QUEUED);
    assert.equal(loop.write(stream, 'x'), sluice.FULL);
    assert.equal(loop.write(stream, 'x'), sluice.GONE);
    assert.equal(loop.tryWrite(other, Buffer.alloc(21)), sluice.FULL);
    assert.equal(loop.write(other, 'as ever'), sluice.QUEUED);
    assert.equal(pull(loop, sluice.CLOSED, stream).error.code, 'SLUICE_EFULL');
    assert.equal(received(loop, peer, 7), 'as ever');
    loop.destroy();
  },

  'abort with a reason'(loop) {
    const reasons = {
      EMSGSIZE: Object.assign(new Error('of the system'), { code: 'EMSGSIZE' }),
      ENOENT: Object.assign(new Error('by its number'), { errno: -os.constants.errno.ENOENT }),
      SLUICE_EFULL: new Error('what wraps it', { cause: Object.assign(new Error(), { code: 'SLUICE_EFULL' }) }),
    };
    for (const [code, reason] of Object.entries(reasons)) {
      const [stream] = pair(loop);
      loop.abort(stream, reason);
      assert.equal(pull(loop, sluice.CLOSED, stream).error.code, code);
      loop.abort(stream, reason); // it has ended
    }
    const [stream] = pair(loop);
    for (const reason of [null, 'EMSGSIZE', new Error('of no kind'), { errno: 0 }, { code: 'toString' }]) {
      refused('SLUICE_EOPTION', () => loop.abort(stream, reason));
    }
    assert.equal(loop.write(stream, 'x'), sluice.QUEUED);
    loop.abort(loop.timer(1000), reasons.EMSGSIZE);
  },

  'what comes again'() {
    const loop = new Loop({ hardLimit: 20 });
    const [stream, peer] = pair(loop);
    const expectData = (text, seen, isLast) => {
      const event = pull(loop, sluice.DATA, stream);
      assert.deepEqual([String(event.data), event.seen, event.isLast], [text, seen, isLast]);
    };
    loop.write(peer, 'ab');
    expectData('ab', 0, false);
    refused('SLUICE_ECAPACITY', () => loop.holdUntil(stream, 3, 4));
    loop.holdUntil(stream, 2, 4);
    loop.write(peer, 'c');
    assert.equal(loop.next(20), null);
    loop.write(peer, 'd');
    expectData('abcd', 2, false);
    loop.holdUntil(stream, 3, 20);
    loop.close(peer);
    expectData('bcd', 3, true);
    pull(loop, sluice.EOF, stream);
    const [other, otherPeer] = pair(loop);
    loop.write(otherPeer, '!');
    pull(loop, sluice.DATA, other);
    loop.holdUntil(other, 1, 21);
    assert.equal(pull(loop, sluice.CLOSED, other).error.code, 'SLUICE_EFULL');
    loop.destroy();
  },

  'a file that is sent'(loop) {
    const [stream, peer] = pair(loop, { highMark: 6 });
    const name = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-')), 'file');
    fs.writeFileSync(name, '0123456789');
    const fd = fs.openSync(name);
    const unread = fs.openSync(name, 'a');
    fs.rmSync(path.dirname(name), { recursive: true });
    loop.write(stream, 'head ');
    assert.equal(loop.sendFile(stream, fd, 1, 100), 6); // the high mark
    pull(loop, sluice.DRAINED, stream);
    assert.equal(loop.sendFile(stream, fd, 7, 2), 2);
    assert.equal(loop.sendFile(stream, fd, 7, 0), 0);
    assert.equal(received(loop, peer, 13), 'head 12345678');
    refused('ENODATA', () => loop.sendFile(stream, fd, 10, 1));
    refused('EINVAL', () => loop.sendFile(stream, fd, Infinity, 1));
    refused('ERR_OUT_OF_RANGE', () => loop.sendFile(stream, fd, -1, 1));
    for (const other of [unread, -1]) refused('EBADF', () => loop.sendFile(stream, other));
    assert.equal(loop.sendFile(stream, fd, 9), 1);
    assert.equal(received(loop, peer, 1), '9');
    refused('SLUICE_EKIND', () => loop.sendFile(loop.timer(1000), fd));
    loop.abort(stream);
    assert.equal(loop.sendFile(stream, fd), null);
    pull(loop, sluice.CLOSED, stream);
    assert.equal(loop.sendFile(stream, fd), null);
    fs.closeSync(fd);
    fs.closeSync(unread);
  },

  'options of a loop'() {
    const loop = new Loop({
      backend: 'poll',
      highMark: 10,
      lowMark: 5,
      hardLimit: 20,
      memoryLimit: 1 << 20,
      handleLimit: 2,
      postLimit: 1,
      receiveSize: 4096,
    });
    refused('SLUICE_ENOTSUP', () => loop.backendFd());
    const stream = loop.connect(loop.localAddress(loop.listen('127.0.0.1:0')));
    assert.equal(loop.write(stream, Buffer.alloc(10)), sluice.QUEUED);
    assert.equal(loop.write(stream, Buffer.alloc(10)), sluice.OVER_HIGH_MARK);
    assert.equal(loop.tryWrite(stream, 'x'), sluice.FULL);
    pull(loop, sluice.DRAINED, stream);
    loop.post(1);
    refused('SLUICE_EFULL', () => loop.post(1));
    loop.timer(1000);
    loop.timer(1000);
    refused('SLUICE_EFULL', () => loop.timer(1000));
    loop.destroy();
  },

  'options of a listener'(loop) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sluice-'));
    const unix = loop.listen(`unix:${folder}/s`, { unixMode: 0o620 });
    assert.equal(fs.statSync(`${folder}/s`).mode & 0o777, 0o620);
    loop.close(unix);
    fs.rmSync(folder, { recursive: true });
    const options = {
      onlyIPv6: true,
      reusePort: true,
      backlog: 5,
      acceptBatch: 1,
      connectionLimit: 1,
      idleTimeout: 1,
    };
    const listener = loop.listen('[::]:0', options);
    const address = loop.localAddress(listener);
    loop.close(loop.listen(address, options)); // at the same port
    const port = address.slice(address.lastIndexOf(':'));
    loop.connect(`[::1]${port}`);
    const { id } = pull(loop, sluice.ACCEPTED);
    assert.equal(pull(loop, sluice.CLOSED, id).error.code, 'ETIMEDOUT');
    const overIPv4 = loop.connect(`127.0.0.1${port}`);
    assert.equal(pull(loop, sluice.CLOSED, overIPv4).error.code, 'ECONNREFUSED');
  },

  'options of a stream'(loop) {
    const [, stream] = pair(loop, undefined, {
      source: '127.0.0.2:0',
      delay: true,
      keepAlive: true,
      keepAliveAfter: 30_500,
      connectTimeout: 60_000,
      linger: 1000,
      highMark: 9,
      unthrottled: true,
      lowMark: undefined,
    });
    assert.match(loop.localAddress(stream), /^127\.0\.0\.2:/);
    assert.match(loop.peerAddress(stream), /^127\.0\.0\.1:/);
    assert.equal(loop.write(stream, Buffer.alloc(10)), sluice.OVER_HIGH_MARK);
  },

  'options out of range'(loop) {
    const option = 'SLUICE_EOPTION';
    refused(option, () => new Loop({ highMark: 10, lowMark: 20 }), '(with highMark: 10, lowMark: 20)');
    refused(option, () => new Loop({ postLimit: -1 }), 'postLimit: -1');
    refused(option, () => new Loop({ nonesuch: 1 }), 'nonesuch: 1');
    refused(option, () => new Loop({ toString: 1 }), 'toString: 1');
    refused('SLUICE_EBACKEND', () => new Loop({ backend: 'none' }), 'backend: none');
    refused(option, listening(loop, { unixMode: 0o1000 }), 'unixMode: 0o1000');
    for (const wrong of [{ idleTimeout: -1 }, { idleTimeout: NaN }, { highMark: 1.5 }, { delay: 1 }, { delay: 1n }]) {
      const [[name, value]] = Object.entries(wrong);
      refused(option, listening(loop, wrong), `${name}: ${value}`);
      refused(option, connecting(loop, wrong), `${name}: ${value}`);
    }
    refused(option, connecting(loop, { source: '[::1]:0' }), 'source: [::1]:0');
    refused('SLUICE_EPORT', connecting(loop, { source: 'x' }), 'source: x');
    refused(option, connecting(loop, { source: '127.0.0.1:0\0' }), 'source');
    const both = { throttled: true, unthrottled: true };
    refused(option, () => loop.adopt(0, both), 'throttled: true, unthrottled: true');
    refused(option, () => loop.listenFd(0, both), 'throttled: true, unthrottled: true');
  },

  adopt(loop) {
    const [stream, peer] = pair(loop, { halfOpen: true }, { halfOpen: true });
    loop.pause(stream); // it is the child's to read
    loop.write(peer, 'hello');
    loop.shutdown(peer);
    while (loop.next(0) !== null || loop.pending(peer) > 0);
    inChild('adopted', loop.fd(stream));
    assert.equal(received(loop, peer, 9), 'half-open');
    const fd = fs.openSync('/');
    refused('EISDIR', () => loop.adopt(fd));
    fs.closeSync(fd); // it is still ours
  },

  watch(loop) {
    const [stream, peer] = pair(loop);
    const fd = loop.fd(stream);
    loop.pause(stream);
    const other = new Loop();
    const watch = other.watch(fd, sluice.READ);
    assert.equal(other.next(0), null);
    loop.write(peer, 'x');
    loop.next(0);
    assert.equal(pull(other, sluice.READY, watch).value & sluice.READ, sluice.READ);
    other.rewatch(watch, sluice.WRITE);
    assert.equal(pull(other, sluice.READY, watch).value, sluice.WRITE);
    refused('SLUICE_EINTEREST', () => other.rewatch(watch, 1 << 30));
    other.destroy();
  },

  'a proxy'(loop) {
    const [inner, client] = pair(loop);
    const [server, outer] = pair(loop);
    loop.forward(inner, outer);
    loop.write(client, 'through');
    assert.equal(received(loop, server, 7), 'through');
    loop.forward(inner, 0n);
    loop.write(client, 'no more');
    assert.equal(received(loop, inner, 7), 'no more');
    assert.equal(loop.stats().handles[5], 4);
  },

  'an end says whether the input had ended'(loop) {
    const [inner, client] = pair(loop);
    loop.close(client);
    const ended = [pull(loop, sluice.CLOSED), pull(loop, sluice.CLOSED)].find(({ id }) => id === inner);
    assert.equal(ended.inputEnded, true);
    const [aborted] = pair(loop);
    loop.abort(aborted);
    assert.equal(pull(loop, sluice.CLOSED, aborted).inputEnded, false);
  },

  'several events by one call'(loop) {
    const [one, onePeer] = pair(loop);
    const [two, twoPeer] = pair(loop);
    for (let round = 0; round < 3; round++) {
      loop.write(onePeer, `a${round}`);
      loop.write(twoPeer, `b${round}`);
      for (let i = 0n; i < 5n; i++) loop.post(i);
      const events = [];
      const isOurs = ({ kind }) => kind === sluice.POSTED || kind === sluice.DATA;
      while (events.length < 7) events.push(...loop.nextMany(1000).filter(isOurs));
      const posted = events.filter(({ kind }) => kind === sluice.POSTED).map(({ value }) => value);
      assert.deepEqual(posted, [0n, 1n, 2n, 3n, 4n]);
      const text = (id) => events.find((event) => event.kind === sluice.DATA && event.id === id).data.toString();
      assert.deepEqual([text(one), text(two)], [`a${round}`, `b${round}`]);
    }
    for (let i = 0; i < 10; i++) loop.post(i);
    assert.equal(loop.nextMany(1000, 4).length, 4);
    assert.equal(loop.nextMany(1000, 1).length, 1);
    assert.equal(loop.nextMany(1000, 1e9).length, 5);
    for (let i = 0; i < 100; i++) loop.post(i);
    assert.equal(loop.nextMany(1000, Infinity).length, 100);
    assert.deepEqual(loop.nextMany(0), []);
    loop.wake();
    assert.deepEqual(loop.nextMany(), []);
    for (const most of [0, -1, 1.5, '2', NaN, -Infinity]) {
      refused('ERR_OUT_OF_RANGE', () => loop.nextMany(0, most), `be ${most}: pass 1 or more, or Infinity`);
    }
    refused('SLUICE_ETIMEOUT', () => loop.nextMany(-1));
    loop.abort(one);
    loop.abort(two);
    const closed = [];
    while (closed.length < 4) closed.push(...loop.nextMany().filter(({ kind }) => kind === sluice.CLOSED));
  },

  'what is attached to a handle'(loop) {
    const listener = loop.listen('127.0.0.1:0');
    const ours = { name: 'of the listener' };
    loop.setUser(listener, ours);
    const client = loop.connect(loop.localAddress(listener));
    loop.setUser(client, 'of the client');
    const first = new Map();
    while (first.size < 2) {
      const event = loop.next();
      first.set(event.kind, event);
    }
    assert.equal(first.get(sluice.CONNECTED).user, 'of the client');
    const { id, user } = first.get(sluice.ACCEPTED);
    assert.equal(user, ours); // a new connection has what its listener has
    assert.equal(loop.user(id), ours);
    loop.setUser(id, 7);
    loop.write(client, 'hello');
    assert.equal(pull(loop, sluice.DATA, id).user, 7);
    loop.close(id);
    assert.equal(pull(loop, sluice.CLOSED, id).user, 7);
    refused('SLUICE_ESTALE', () => loop.user(id));
    refused('SLUICE_ESTALE', () => loop.setUser(id, 1));
    const timer = loop.timer(0.1);
    assert.equal(loop.user(timer), undefined);
    loop.setUser(timer, null);
    assert.equal(pull(loop, sluice.TIMER, timer).user, null);
    const watch = loop.watch(0, 0);
    loop.setUser(watch, 'of the watch');
    loop.close(watch);
    refused('SLUICE_ESTALE', () => loop.user(watch));
    refused('ERR_INVALID_ARG_TYPE', () => loop.setUser(1, 'x'));
  },

  async 'what was attached is given up with its handle'(loop) {
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc');
    let left = 3;
    const registry = new FinalizationRegistry(() => left--);
    const attach = (id) => {
      const user = {};
      registry.register(user);
      loop.setUser(id, user);
    };
    (() => {
      const [stream] = pair(loop);
      attach(stream);
      loop.abort(stream);
      pull(loop, sluice.CLOSED, stream);
      const closed = loop.timer(1000);
      attach(closed);
      loop.close(closed);
      const timer = loop.timer(0);
      attach(timer);
      pull(loop, sluice.TIMER, timer);
      loop.abort(timer);
    })();
    for (const end = Date.now() + 10_000; left > 0; await sleep(1)) {
      collect();
      assert.ok(Date.now() < end, `${left} are kept`);
    }
  },

  'a poller'(loop) {
    const [stream, peer] = pair(loop);
    loop.pause(stream);
    const fd = loop.fd(stream);
    for (const backend of sluice.backends()) {
      const poller = new sluice.Poller(backend);
      assert.equal(poller.backend, backend);
      assert.equal(poller.features & 1, 1);
      poller.add(fd, sluice.READ, 'ours');
      assert.deepEqual(poller.wait(0), []);
      loop.write(peer, 'x');
      while (loop.next(0) !== null || loop.pending(peer) > 0);
      assert.deepEqual(poller.wait(1000), [{ fd, ready: sluice.READ, user: 'ours' }]);
      poller.modify(fd, sluice.WRITE);
      for (const most of [1, Infinity]) {
        assert.deepEqual(poller.wait(1000, most), [{ fd, ready: sluice.WRITE, user: 'ours' }]);
      }
      refused('EEXIST', () => poller.add(fd, sluice.READ));
      poller.remove(fd);
      refused('ENOENT', () => poller.remove(fd));
      refused('EBADF', () => poller.add(9999, sluice.READ));
      refused('SLUICE_EINTEREST', () => poller.add(fd, 1 << 30));
      refused('SLUICE_ETIMEOUT', () => poller.wait(-1));
      refused('ERR_OUT_OF_RANGE', () => poller.wait(0, 0));
      refused('SLUICE_EKIND', () => new Poster(poller.poster).post(1));
      poller.wake();
      assert.deepEqual(poller.wait(), []);
      new Poster(poller.poster).wake();
      assert.deepEqual(poller.wait(), []);
      if (backend === 'epoll') assert.ok(poller.backendFd() > 0);
      const { poster } = poller;
      poller.destroy();
      poller.destroy();
      assert.equal(poller.backend, undefined);
      for (const call of [() => poller.wait(), () => poller.add(fd, 1), () => poller.wake(), () => poller.poster,
        () => new Poster(poster).wake()]) {
        refused('SLUICE_ENULL', call, 'ended');
      }
      // What was written is read, so that the next backend begins as this one.
      loop.resume(stream);
      pull(loop, sluice.DATA, stream);
      loop.pause(stream);
    }
    refused('SLUICE_EBACKEND', () => new sluice.Poller('none'), 'backend: none');
    refused('ERR_INVALID_ARG_TYPE', () => new sluice.Poller(5));
  },

  async 'signals as events'(loop) {
    const id = loop.signal('SIGUSR2');
    assert.equal(loop.kindOf(id), 3);
    for (let i = 0; i < 20; i++) {
      process.kill(process.pid, 'SIGUSR2');
      assert.equal(pull(loop, sluice.SIGNAL, id).value, os.constants.signals.SIGUSR2);
    }
    refused('EEXIST', () => loop.signal(os.constants.signals.SIGUSR2));
    const other = new Loop();
    refused('EEXIST', () => other.signal('SIGUSR2'));
    loop.close(id);
    other.close(other.signal('SIGUSR2')); // it is free again
    other.destroy();
    for (const none of ['SIGNONE', 0, -1, 65, 'SIGKILL']) refused('EINVAL', () => loop.signal(none));
    refused('ERR_INVALID_ARG_TYPE', () => loop.signal({}));
    const worker = started('signal');
    const exit = answer(worker, 'exit'); // it may come together with the last message
    assert.equal(await answer(worker), 'ready');
    process.kill(process.pid, 'SIGTERM');
    assert.equal(await answer(worker), os.constants.signals.SIGTERM);
    assert.equal(await exit, 0);
    for (const end of ['close', 'destroy']) {
      const child = spawnSync(process.execPath, [__filename, 'signalled', end], { timeout: 20_000, killSignal: 'SIGKILL' });
      assert.equal(child.signal, 'SIGTERM', `${child.stdout}${child.stderr}`);
    }
    for (const [name, status, signal] of [['listened', 7, null], ['unheard', null, 'SIGTERM'], ['unheardByAWorker', 7, null]]) {
      const child = spawnSync(process.execPath, [__filename, name], { timeout: 20_000, killSignal: 'SIGKILL' });
      assert.deepEqual([child.status, child.signal], [status, signal], `${name}: ${child.stdout}${child.stderr}`);
    }
  },

  async 'a poller that is woken by another thread'() {
    const worker = started('poll');
    const poster = new Poster(await answer(worker));
    poster.wake();
    assert.equal(await answer(worker), 'woken');
  },

  timers(loop) {
    const start = loop.updateNow();
    const [late, early] = [loop.timer(60_000), loop.timer(0.5, 5)];
    for (let i = 0; i < 2; i++) assert.equal(loop.next().id, early);
    loop.close(early);
    loop.timerReset(late, 30);
    assert.equal(pull(loop, sluice.TIMER).id, late);
    assert.ok(loop.now() - start >= 30);
    refused('SLUICE_ETIMEOUT', () => loop.timer(-1));
    loop.close(loop.timer(Infinity));
  },

  'bytes are the own copy'(loop) {
    const [stream, peer] = pair(loop);
    const kept = [];
    for (let i = 0; i < 50; i++) {
      loop.write(peer, `${i}`);
      kept.push(pull(loop, sluice.DATA, stream).data);
    }
    loop.destroy();
    assert.deepEqual(kept.map(String), kept.map((_, i) => `${i}`));
  },

  async 'a loop that is dropped is ended'(loop) {
    v8.setFlagsFromString('--expose-gc');
    const collect = vm.runInNewContext('gc');
    const address = (() => {
      const dropped = new Loop();
      return dropped.localAddress(dropped.listen('127.0.0.1:0'));
    })();
    const end = Date.now() + 10_000;
    for (;;) {
      collect();
      await sleep(1);
      const stream = loop.connect(address);
      const event = loop.next();
      if (event.kind === sluice.CLOSED) break;
      loop.abort(stream);
      pull(loop, sluice.CLOSED, stream);
      assert.ok(Date.now() < end, 'it still listens');
    }
  },

  async 'a loop in each thread'() {
    const texts = ['one', 'two', 'three', 'four'];
    const echoes = await Promise.all(texts.map((text) => answer(started('echo', { text }))));
    assert.deepEqual(echoes, texts);
  },

  async 'a post that races the end of its loop'() {
    const shared = new BigInt64Array(new SharedArrayBuffer(8));
    const worker = started('ends', { shared });
    const exit = answer(worker, 'exit');
    await answer(worker);
    for (let token; (token = Atomics.load(shared, 0)) !== -1n; ) {
      try {
        new Poster(token).post(1);
      } catch (error) {
        assert.equal(error.code, 'SLUICE_ENULL');
      }
    }
    assert.equal(await exit, 0);
  },

  async 'a worker that is terminated in a pull'() {
    const worker = started('pull');
    const poster = new Poster(await answer(worker));
    const done = worker.terminate();
    poster.wake();
    assert.equal(await done, 1);
    refused('SLUICE_ENULL', () => poster.wake());
  },

  'the process ends while a worker is in a pull'() {
    for (const worker of ['pull', 'poll']) inChild('exit', 'ignore', worker);
  },
};

async function main() {
  // If nothing is left that could settle an await, Node.js ends with 0. That must not pass for success.
  let name = '';
  const unended = () => {
    console.error(`an await never ended: ${name}`);
    process.exitCode = 1;
  };
  process.on('exit', unended);
  for (const [each, check] of Object.entries(checks)) {
    const loop = new Loop();
    name = each;
    try {
      await check(loop);
    } catch (error) {
      console.error(`failed: ${name}`);
      throw error;
    }
    loop.destroy();
    console.log(`ok ${name}`);
  }
  process.off('exit', unended);
}

if (!isMainThread) workers[workerData.name ?? workerData](workerData);
else if (process.argv[2]) children[process.argv[2]]();
else main();
