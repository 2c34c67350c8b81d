'use strict';

// Readiness by itself: a set of descriptors, and the call that waits for them.

const native = require('../build/sluice.node');
const { checked, made, mostOf } = require('./results');

class Poller {
  #raw;
  #words = new BigUint64Array(0); // struct ready of native/poller.c
  #users = new Map(); // by descriptor

  constructor(backend) {
    this.#raw = made(native.pollerCreate(backend), backend === undefined ? '' : ` (with backend: ${backend})`);
  }

  destroy() {
    checked(native.destroy(this.#raw));
    this.#users.clear();
  }

  add(fd, interest, user) {
    checked(native.pollerAdd(this.#raw, fd, interest));
    if (user !== undefined) this.#users.set(fd, user);
  }

  modify(fd, interest, user) {
    checked(native.pollerModify(this.#raw, fd, interest));
    if (user !== undefined) this.#users.set(fd, user);
  }

  remove(fd) {
    checked(native.pollerRemove(this.#raw, fd));
    this.#users.delete(fd);
  }

  wait(timeout = Infinity, most = 64) {
    const capacity = mostOf(most);
    if (this.#words.length !== capacity) this.#words = new BigUint64Array(capacity);
    const halves = new Int32Array(this.#words.buffer);
    const count = checked(native.pollerWait(this.#raw, timeout, this.#words));
    return Array.from({ length: count }, (_, i) => {
      const fd = halves[2 * i];
      return { fd, ready: halves[2 * i + 1], user: this.#users.get(fd) };
    });
  }

  get poster() {
    return made(native.token(this.#raw));
  }

  wake() {
    checked(native.wake(this.poster));
  }

  get backend() {
    return native.pollerBackend(this.#raw);
  }

  get features() {
    return native.pollerFeatures(this.#raw);
  }

  backendFd() {
    return checked(native.pollerBackendFd(this.#raw));
  }
}

// `using`, if this Node.js has it.
if (Symbol.dispose) Poller.prototype[Symbol.dispose] = Poller.prototype.destroy;

// The names of the backends, best first.
function backends() {
  const names = [];
  for (let name; (name = native.backendName(names.length)) !== undefined; ) names.push(name);
  return names;
}

module.exports = { Poller, backends };
