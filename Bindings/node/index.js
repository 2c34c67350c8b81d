'use strict';

// The loop. The addon, build/sluice.node, returns what C returned, and this file says what that
// means. What happens to a connection is told by its CLOSED. What the program or the machine did
// wrong is thrown. index.d.ts describes each call.

const os = require('node:os');
const { isMainThread } = require('node:worker_threads');
const native = require('./build/sluice.node');
const { CODES, OWN, codeOf, errorOf } = require('./lib/errors');
const { Event, Headers, KINDS, eventOf } = require('./lib/event');
const { Poller, backends } = require('./lib/poller');
const { adoptOptions, connectOptions, listenOptions, loopOptions } = require('./lib/options');
const { QUEUED, OVER_HIGH_MARK, GONE, FULL, checked, made, mostOf, written } = require('./lib/results');

// When the process ends, Node.js waits for its workers. One that is in a pull would not hear of it.
if (isMainThread) process.on('exit', () => native.cancelOthers());

// Node.js takes a signal from the loop that has it when the first listener is added, and when the last is
// removed. It does so in listeners of these same two events, and those run before ours.
if (isMainThread) {
  for (const change of ['newListener', 'removeListener']) {
    process.on(change, (name) => name in os.constants.signals && native.keepSignals());
  }
}

const bytesOf = (data) => (typeof data === 'string' ? Buffer.from(data) : data);

// An address with a NUL in it is refused: in C it would end there.
function addressOf(address) {
  if (typeof address !== 'string') {
    throw Object.assign(new TypeError('an address is a string'), { code: 'ERR_INVALID_ARG_TYPE' });
  }
  if (address.includes('\0')) throw errorOf(CODES.EADDRESS);
  return address;
}

class Loop {
  #raw;
  #header = new Headers(1);
  #headers = this.#header; // as many as were asked for last
  #users = new Map(); // by id

  constructor(options) {
    const { numbers, text, words } = loopOptions(options);
    this.#raw = made(native.open(numbers, text), words);
  }

  destroy() {
    checked(native.destroy(this.#raw));
    this.#users.clear();
  }

  next(timeout = Infinity) {
    const result = native.next(this.#raw, timeout, this.#header.words);
    if (typeof result !== 'number') return this.#event(this.#header.each[0], result);
    return checked(result) === 0 ? null : this.#event(this.#header.each[0], undefined);
  }

  nextMany(timeout = Infinity, most = 64) {
    const count = mostOf(most);
    if (count === 1) {
      const event = this.next(timeout);
      return event === null ? [] : [event];
    }
    if (this.#headers.each.length !== count) this.#headers = new Headers(count);
    const result = native.nextMany(this.#raw, timeout, this.#headers.words);
    if (typeof result === 'number') {
      checked(result);
      return [];
    }
    const events = [];
    for (let i = 0; i < result.length; i++) {
      const header = this.#headers.each[i];
      if (header.halves[0] !== 0) events.push(this.#event(header, result[i]));
    }
    return events;
  }

  #event(header, data) {
    const event = eventOf(this.#raw, header, data);
    if (this.#users.size > 0) this.#attach(event);
    return event;
  }

  // A new connection gets its listener's value. A handle that has ended has none any more.
  #attach(event) {
    const { kind, id } = event;
    event.user = this.#users.get(kind === ACCEPTED ? event.value : id);
    if (kind === ACCEPTED && event.user !== undefined) this.#users.set(id, event.user);
    if (kind === CLOSED || kind === RESOLVED) this.#users.delete(id);
    else if (kind === TIMER) this.#forgetEnded(id);
  }

  #forgetEnded(id) {
    if (this.#users.size > 0 && native.kindOf(this.#raw, id) === CODES.ESTALE) this.#users.delete(id);
  }

  [Symbol.iterator]() {
    const pull = () => {
      for (;;) {
        const value = this.next();
        if (value !== null) return { done: false, value };
      }
    };
    return { next: pull, [Symbol.iterator]: () => this[Symbol.iterator]() };
  }

  get poster() {
    return made(native.token(this.#raw));
  }

  post(value) {
    new Poster(this.poster).post(value);
  }

  wake() {
    new Poster(this.poster).wake();
  }

  now() {
    return checked(native.now(this.#raw)) / 1e6;
  }

  updateNow() {
    return checked(native.updateNow(this.#raw)) / 1e6;
  }

  backendFd() {
    return checked(native.backendFd(this.#raw));
  }

  untilNext() {
    const nanoseconds = checked(native.untilNext(this.#raw));
    return nanoseconds >= 2 ** 63 ? Infinity : nanoseconds / 1e6;
  }

  stats() {
    const numbers = new Float64Array(32);
    checked(native.stats(this.#raw, numbers));
    const [bytesReceived, bytesSent, receives, sends, accepts, queueMemory, longestGap] = numbers.slice(25);
    return {
      turns: numbers[0],
      events: Array.from(numbers.slice(1, 17)),
      handles: Array.from(numbers.slice(17, 25)),
      bytesReceived,
      bytesSent,
      receives,
      sends,
      accepts,
      queueMemory,
      longestGap: longestGap / 1e6,
    };
  }

  // ---- Handles

  listen(address, options) {
    const { numbers, words } = listenOptions(options);
    return made(native.listen(this.#raw, addressOf(address), numbers), words);
  }

  listenFd(fd, options) {
    const { numbers, words } = listenOptions(options);
    return made(native.listenFd(this.#raw, fd, numbers), words);
  }

  connect(address, options) {
    const { numbers, text, words } = connectOptions(options);
    return made(native.connect(this.#raw, addressOf(address), numbers, text), words);
  }

  adopt(fd, options) {
    const { numbers, words } = adoptOptions(options);
    return made(native.adopt(this.#raw, fd, numbers), words);
  }

  resolve(address, family = 0) {
    return made(native.resolve(this.#raw, addressOf(address), family));
  }

  watch(fd, interest) {
    return made(native.watch(this.#raw, fd, interest));
  }

  rewatch(id, interest) {
    checked(native.rewatch(this.#raw, id, interest));
  }

  timer(first, repeat = 0) {
    return made(native.timer(this.#raw, first, repeat));
  }

  timerReset(id, first) {
    checked(native.timerReset(this.#raw, id, first));
  }

  signal(signal) {
    const number = typeof signal === 'string' ? os.constants.signals[signal] : signal;
    if (number === undefined) throw errorOf(-os.constants.errno.EINVAL, `: there is no signal ${signal}`);
    return made(native.signal(this.#raw, number));
  }

  close(id) {
    this.#told(id, native.close(this.#raw, id));
    this.#forgetHandle(id);
  }

  // A stream keeps its value until its CLOSED.
  #forgetHandle(id) {
    if (!isStream(id)) this.#forgetEnded(id);
  }

  abort(id, reason) {
    if (reason === undefined) {
      this.#told(id, native.abort(this.#raw, id));
    } else {
      const code = codeOf(reason);
      if (code === undefined) throw errorOf(CODES.EOPTION, `: the reason is no such error: ${reason}`);
      this.#told(id, native.abortWith(this.#raw, id, code));
    }
    this.#forgetHandle(id);
  }

  user(id) {
    checked(native.kindOf(this.#raw, id));
    return this.#users.get(id);
  }

  setUser(id, user) {
    checked(native.kindOf(this.#raw, id));
    if (user === undefined) this.#users.delete(id);
    else this.#users.set(id, user);
  }

  fd(id) {
    return checked(native.fd(this.#raw, id));
  }

  kindOf(id) {
    return checked(native.kindOf(this.#raw, id));
  }

  localAddress(id) {
    return made(native.localAddress(this.#raw, id));
  }

  peerAddress(id) {
    return made(native.peerAddress(this.#raw, id));
  }

  // ---- Streams

  write(id, data) {
    return this.#told(id, native.write(this.#raw, id, bytesOf(data)));
  }

  tryWrite(id, data) {
    return written(native.write(this.#raw, id, bytesOf(data)));
  }

  sendFile(id, fd, offset = 0, length = Infinity) {
    const code = native.sendFile(this.#raw, id, fd, offset, length);
    if (code >= 0) return code;
    // An errno is about the file, unless the stream takes nothing at all.
    if (code > OWN && this.tryWrite(id, '') !== GONE) throw errorOf(code);
    this.#told(id, code);
    return null;
  }

  flush(id) {
    return this.#told(id, native.flush(this.#raw, id));
  }

  shutdown(id) {
    const code = native.shutdown(this.#raw, id);
    // A stream has no other errno than EPIPE here; a listener has.
    if (code < 0 && code > OWN && code !== CODES.EPIPE) throw errorOf(code);
    return this.#told(id, code);
  }

  pause(id) {
    this.#told(id, native.pause(this.#raw, id));
  }

  resume(id) {
    this.#told(id, native.resume(this.#raw, id));
  }

  hold(id, length) {
    this.#told(id, native.hold(this.#raw, id, length));
  }

  holdUntil(id, length, total) {
    this.#told(id, native.holdUntil(this.#raw, id, length, total));
  }

  pending(id) {
    return checked(native.pending(this.#raw, id));
  }

  forward(from, to) {
    this.#told(from, native.forward(this.#raw, from, to));
  }

  // What became of a call on a stream. The stream ends if there is no room for what the call adds.
  #told(id, code) {
    const result = written(code);
    if (result === FULL) checked(native.abortWith(this.#raw, id, CODES.EFULL));
    return result;
  }
}

// `using`, if this Node.js has it.
if (Symbol.dispose) Loop.prototype[Symbol.dispose] = Loop.prototype.destroy;

// The part of a loop or a poller that any thread may use.
class Poster {
  #token;

  constructor(token) {
    if (typeof token !== 'bigint') {
      throw Object.assign(new TypeError("a loop's poster is a BigInt"), { code: 'ERR_INVALID_ARG_TYPE' });
    }
    this.#token = token;
  }

  post(value) {
    checked(native.post(this.#token, BigInt(value)));
  }

  wake() {
    checked(native.wake(this.#token));
  }
}

// The four bits above an id's slot are its kind.
const isStream = (id) => ((id >> 28n) & 15n) === 5n;

// The slot of an id: a small number that no other live handle of its kind has.
function slotOf(id) {
  return Number(BigInt.asUintN(28, id));
}

const { READY, TIMER, SIGNAL, POSTED, ACCEPTED, CONNECTED, DATA, EOF, DRAINED, CLOSED, OVERLOADED, RESOLVED } = KINDS;
const READ = 1;
const PRIORITY = 2;
const WRITE = 4;
const ERROR = 8;
const HANGUP = 16;
const EDGE = 0x100;
const ONE_SHOT = 0x200;
const READ_CLOSED = 0x2000;

module.exports = {
  Loop,
  Poster,
  Poller,
  Event,
  backends,
  slotOf,
  READY,
  TIMER,
  SIGNAL,
  POSTED,
  ACCEPTED,
  CONNECTED,
  DATA,
  EOF,
  DRAINED,
  CLOSED,
  OVERLOADED,
  RESOLVED,
  QUEUED,
  OVER_HIGH_MARK,
  GONE,
  FULL,
  READ,
  PRIORITY,
  WRITE,
  ERROR,
  HANGUP,
  EDGE,
  ONE_SHOT,
  READ_CLOSED,
};
