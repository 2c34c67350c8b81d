'use strict';

// What a call of C returned: a count or an id, an error, or what became of a stream.

const { CODES, OWN, errorOf } = require('./errors');

const QUEUED = 0;
const OVER_HIGH_MARK = 1;
const GONE = 2;
const FULL = 3;

// A result of C that is a count, or an error.
function checked(code, words) {
  if (code < 0) throw errorOf(code, words);
  return code;
}

// An id, a text or a number. A number that is negative is an error.
function made(result, words) {
  return typeof result === 'number' ? checked(result, words) : result;
}

// What became of a call on a stream. An errno says that the stream is broken.
function written(code) {
  if (code >= 0) return code;
  if (code === CODES.EFULL) return FULL;
  if (code === CODES.ESTALE || (code > OWN && code !== CODES.ENOMEM)) return GONE;
  throw errorOf(code);
}

// How many events one pull may bring.
function mostOf(most) {
  if (most === Infinity || (Number.isInteger(most) && most >= 1)) return Math.min(most, 1024);
  const words = `the most events of a call cannot be ${most}: pass 1 or more, or Infinity`;
  throw Object.assign(new RangeError(words), { code: 'ERR_OUT_OF_RANGE' });
}

module.exports = { QUEUED, OVER_HIGH_MARK, GONE, FULL, checked, made, mostOf, written };
