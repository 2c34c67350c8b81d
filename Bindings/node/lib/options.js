'use strict';

// Options, as an array of numbers for the addon. Each has its place there, which native/loop.c and
// native/handles.c share.

const { CODES, errorOf } = require('./errors');

const isNumber = (value) => typeof value === 'number' && value >= 0; // and not NaN
const isWhole = (value) => isNumber(value) && (Number.isInteger(value) || value === Infinity);

// What a value becomes; undefined if it is refused.
const flag = (bit) => (value) => (typeof value === 'boolean' ? (value ? bit : 0) : undefined);
const size = (value) => (isWhole(value) ? Math.min(value, Number.MAX_SAFE_INTEGER) : undefined);
const count = (value) => (isWhole(value) ? Math.min(value, 2 ** 32 - 1) : undefined);
const seconds = (value) =>
  isNumber(value) ? Math.min(Math.ceil(value / 1000), 2 ** 32 - 1) : undefined;
// Milliseconds, as nanoseconds. What is above 0 stays above it, since 0 is the default.
const time = (value) => (isNumber(value) ? Math.min(Math.ceil(value * 1e6), 2 ** 62) : undefined);
const word = (value) => (typeof value === 'string' && !value.includes('\0') ? value : undefined);

const LOOP = {
  receiveSize: [0, size],
  highMark: [1, size],
  lowMark: [2, size],
  hardLimit: [3, size],
  memoryLimit: [4, size],
  postLimit: [5, size],
  handleLimit: [6, count],
  backend: [-1, word],
};

const STREAM = {
  halfOpen: [0, flag(1)],
  delay: [0, flag(2)],
  keepAlive: [0, flag(4)],
  throttled: [0, flag(8)],
  unthrottled: [0, flag(16)],
  keepAliveAfter: [1, seconds],
  idleTimeout: [2, time],
  linger: [3, time],
  connectTimeout: [4, time],
  highMark: [5, size],
  lowMark: [6, size],
};

const CONNECT = { ...STREAM, source: [-1, word] };

const LISTEN = {
  ...STREAM,
  reusePort: [7, flag(1)],
  onlyIPv6: [7, flag(2)],
  backlog: [8, count],
  acceptBatch: [9, count],
  connectionLimit: [10, count],
  unixMode: [11, count],
};

const shown = (name, value) =>
  `${name}: ${name === 'unixMode' && typeof value === 'number' ? `0o${value.toString(8)}` : String(value)}`;

// The options that were given, for a message: one of them may be to blame.
function wordsOf(options) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return given.length === 0 ? '' : ` (with ${given.map(([name, value]) => shown(name, value)).join(', ')})`;
}

// { numbers, text, words } of options, which are read once.
function read(table, length, options = {}) {
  const given = { ...options };
  const numbers = new Float64Array(length);
  let text;
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const [place, convert] = Object.hasOwn(table, name) ? table[name] : [0, () => undefined];
    const converted = convert(value);
    if (converted === undefined) throw errorOf(CODES.EOPTION, wordsOf(given));
    if (place < 0) text = converted;
    else numbers[place] += converted; // flags are different bits
  }
  return { numbers, text, words: wordsOf(given) };
}

module.exports = {
  adoptOptions: (options) => read(STREAM, 7, options),
  connectOptions: (options) => read(CONNECT, 7, options),
  listenOptions: (options) => read(LISTEN, 12, options),
  loopOptions: (options) => read(LOOP, 7, options),
};
