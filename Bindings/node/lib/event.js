'use strict';

// What was pulled. The numbers of kinds are those of sluice.h.

const native = require('../build/sluice.node');
const { CODES, errorOf } = require('./errors');

const KINDS = Object.freeze({
  READY: 1,
  TIMER: 2,
  SIGNAL: 3,
  POSTED: 4,
  ACCEPTED: 5,
  CONNECTED: 6,
  DATA: 7,
  EOF: 8,
  DRAINED: 9,
  CLOSED: 10,
  OVERLOADED: 11,
  RESOLVED: 12,
});

// Each event has all members, whatever its kind. So all have one shape, which V8 is fast with.
class Event {
  constructor(kind, id) {
    this.kind = kind;
    this.id = id;
    this.data = undefined;
    this.value = undefined;
    this.user = undefined;
    this.error = null;
    this.seen = 0;
    this.isLast = false;
    this.unsent = 0;
    this.inputEnded = false;
    this.addresses = undefined;
  }
}

// Where the addon writes an event: struct header of native/loop.c, in words, halves and doubles.
const HEADER_WORDS = 4;

class Header {
  constructor(buffer, place) {
    const at = place * HEADER_WORDS * 8;
    this.words = new BigUint64Array(buffer, at, HEADER_WORDS); // 1: the id, 2: the value
    this.halves = new Int32Array(buffer, at, HEADER_WORDS * 2); // 0: the kind, 1: the error
    this.doubles = new Float64Array(buffer, at, HEADER_WORDS); // 3: the length
  }
}

// Several headers, one behind the other.
class Headers {
  constructor(count) {
    this.words = new BigUint64Array(count * HEADER_WORDS);
    this.each = Array.from({ length: count }, (_, place) => new Header(this.words.buffer, place));
  }
}

function closed(event, raw, code, length) {
  event.unsent = length;
  if (code === 0) return;
  const words = code === CODES.ENAME ? native.nameProblem(raw, event.id) : undefined;
  event.error = errorOf(code, words === undefined ? '' : `: ${words}`);
}

function resolved(event, code, data) {
  const text = data?.toString() ?? '';
  if (code === 0) event.addresses = text.split('\n');
  else event.error = errorOf(code, text && `: ${text}`);
}

// The event that a header has. `data` is its bytes, if there are any.
function eventOf(raw, header, data) {
  const { words, halves } = header;
  const event = new Event(halves[0], words[1]);
  switch (event.kind) {
    case KINDS.DATA:
      event.data = data;
      event.seen = halves[5] * 2 ** 31 + (halves[4] >>> 1);
      event.isLast = (halves[4] & 1) === 1;
      break;
    case KINDS.READY:
    case KINDS.SIGNAL:
      event.value = halves[4];
      break;
    case KINDS.ACCEPTED:
    case KINDS.POSTED:
      event.value = words[2];
      break;
    case KINDS.CLOSED:
      event.inputEnded = halves[4] === 1;
      closed(event, raw, halves[1], header.doubles[3]);
      break;
    case KINDS.OVERLOADED:
      event.error = errorOf(halves[1]);
      break;
    case KINDS.RESOLVED:
      resolved(event, halves[1], data);
      break;
  }
  return event;
}

module.exports = { Event, Headers, KINDS, eventOf };
