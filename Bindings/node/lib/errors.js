'use strict';

// Codes of C as Errors, and Errors as codes of C.

const os = require('node:os');
const util = require('node:util');
const native = require('../build/sluice.node');

// From here down the codes are Sluice's own. Above, they are errnos, negated.
const OWN = -10000;

const CODES = Object.freeze({
  ENULL: -10006,
  EADDRESS: -10007,
  EFULL: -10008,
  ESTALE: -10009,
  EOPTION: -10013,
  ENAME: -10014,
  ENOMEM: -os.constants.errno.ENOMEM,
  EPIPE: -os.constants.errno.EPIPE,
});

// By name, for the reason of an abort.
const own = new Map();
for (let code = OWN - 1; code > OWN - 100; code--) {
  const [name] = native.describe(code);
  if (name.startsWith('SLUICE_')) own.set(name, code);
}

const systemErrors = util.getSystemErrorMap();

// The Error of a negative code: `code` is its name, `errno` negative, as in Node.js's own errors.
function errorOf(code, words = '') {
  let [name, message, errno] = native.describe(code);
  if (code === CODES.ENULL) message = 'the loop or poller has ended';
  if (code > OWN) [name, message] = systemErrors.get(code) ?? [name.replace(/^SLUICE_/, ''), message];
  const error = new Error(`${name}: ${message}${words}`);
  error.code = name;
  error.errno = -errno;
  return error;
}

// The code of an Error: Sluice's own or an errno, of it or of what caused it. Otherwise undefined.
function codeOf(reason) {
  for (let depth = 0; depth < 16 && typeof reason === 'object' && reason !== null; depth++) {
    const { code, errno } = reason;
    if (own.has(code)) return own.get(code);
    if (Object.hasOwn(os.constants.errno, code)) return -os.constants.errno[code];
    if (Number.isInteger(errno) && errno < 0 && errno > OWN) return errno;
    reason = reason.cause;
  }
  return undefined;
}

module.exports = { CODES, OWN, codeOf, errorOf };
