/// <reference types="node" />

/**
 * Sluice: I/O multiplexing on Linux over epoll, poll or select. A {@link Loop} is pulled: the
 * program asks for the next event, deals with it, and asks again.
 *
 * A pull blocks its thread, and Node.js's own event loop with it. So a loop is for a worker thread,
 * or for a program that does nothing else.
 *
 * Times are milliseconds, and may have fractions. Where C has an option of the same name, sluice.h
 * says more about it.
 *
 * A call that fails throws an Error. Its `code` is 'EADDRINUSE' and the like if the kernel said so,
 * or 'SLUICE_ESTALE' and the like. Its `errno` is negative, as in Node.js's own errors. For a code
 * of Sluice's it is the nearest errno. An argument of another type is a TypeError or a RangeError,
 * with a `code` as Node.js has them. What happens to a connection is never thrown by a call: the
 * connection's CLOSED says it.
 */

/**
 * The id of a handle: of a timer, a listener, a stream and so on. It can be kept anywhere. 0n is
 * none.
 */
export type Id = bigint;

/** The error of a call or an event. */
export interface SluiceError extends Error {
  /** 'ECONNRESET' and the like, or 'SLUICE_EFULL' and the like. */
  code: string;
  /** Negative. */
  errno: number;
}

/** A watched descriptor is ready. `value` is a set of READ, WRITE, PRIORITY, ERROR, … */
export const READY: 1;
/** A timer's time has come. */
export const TIMER: 2;
/** A signal came: `value` is its number. */
export const SIGNAL: 3;
/** `value` is what was posted. `id` is 0n. */
export const POSTED: 4;
/** `id` is the new stream, `value` the listener's id. */
export const ACCEPTED: 5;
/** A connect is done. */
export const CONNECTED: 6;
/** `data` is what the stream received. */
export const DATA: 7;
/** The peer will send no more. */
export const EOF: 8;
/** A stream's queue was over its high mark, and has fallen to its low mark; or a file can go on. */
export const DRAINED: 9;
/** The last event of a stream. `error` says why, `unsent` how many bytes were not sent. */
export const CLOSED: 10;
/** A listener had to stop accepting, and resumes by itself. `error` says why. */
export const OVERLOADED: 11;
/** The last event of a lookup: it has `addresses`, or an `error`. */
export const RESOLVED: 12;

/** What was pulled. All events have all members. */
export class Event {
  readonly kind: 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12;
  /** Whose event it is. */
  readonly id: Id;
  /** Of DATA: the bytes. They are yours, a copy. */
  readonly data: Buffer | undefined;
  /** Of READY and SIGNAL: a number. Of POSTED and ACCEPTED: a BigInt. */
  readonly value: number | bigint | undefined;
  /** What {@link Loop.setUser} has attached to the handle. */
  readonly user: any;
  /** Of CLOSED, OVERLOADED and RESOLVED: what was wrong, or null. */
  readonly error: SluiceError | null;
  /** Of DATA: how many of its first bytes were held, and so were in an event before. */
  readonly seen: number;
  /** Of DATA: the bytes were held when the input ended, and nothing follows them. */
  readonly isLast: boolean;
  /** Of CLOSED: how many queued bytes the kernel did not take. */
  readonly unsent: number;
  /**
   * Of CLOSED: the peer had ended its input before. Then all that it wanted to send has come,
   * whatever the error.
   */
  readonly inputEnded: boolean;
  /** Of RESOLVED: the addresses, in the order in which a connect would try them. */
  readonly addresses: string[] | undefined;
}

/** What became of a write: it is queued. */
export const QUEUED: 0;
/** It is queued too. Wait for DRAINED before you write more. */
export const OVER_HIGH_MARK: 1;
/** Nothing was taken: the stream has ended, is being closed, was shut down, or is broken. */
export const GONE: 2;
/** Nothing was taken: it would be over the stream's hard limit, or the loop's memory limit. */
export const FULL: 3;

/** What became of a write. You need not look at it. */
export type Written = 0 | 1 | 2 | 3;

/** Interest: a read would not block. */
export const READ: 1;
/** Interest: out-of-band data. */
export const PRIORITY: 2;
/** Interest: a write would not block. */
export const WRITE: 4;
/** Readiness: an error is pending, or a pipe's reader is gone. */
export const ERROR: 8;
/** Interest and readiness: both directions are shut. */
export const HANGUP: 16;
/** Interest: report a change, not the state. Only epoll has it. */
export const EDGE: 0x100;
/** Interest: report once, until `rewatch`. */
export const ONE_SHOT: 0x200;
/** Readiness: the peer will send no more. */
export const READ_CLOSED: 0x2000;

export interface LoopOptions {
  /** 'epoll', 'poll' or 'select'; the best there is. */
  backend?: string;
  /** Bytes that one receive brings at most; 64 KiB. */
  receiveSize?: number;
  /** Queued bytes over which a writer should wait for DRAINED; 1 MiB. */
  highMark?: number;
  /** Queued bytes at which DRAINED comes; a quarter of the high mark. */
  lowMark?: number;
  /** Queued bytes that no write may go over; 64 MiB. */
  hardLimit?: number;
  /** Bytes of everything that is queued or held; none. */
  memoryLimit?: number;
  /** Posts that wait to be pulled; 1,048,576. */
  postLimit?: number;
  /** Handles of each kind; 16,777,216. */
  handleLimit?: number;
}

export interface StreamOptions {
  /** It stays open when the peer has ended. */
  halfOpen?: boolean;
  /** Nagle's algorithm stays on. */
  delay?: boolean;
  /** A silent peer is probed. */
  keepAlive?: boolean;
  /** How long a peer must be silent before the first probe; rounded up to whole seconds. */
  keepAliveAfter?: number;
  /** No reading while over the high mark: the default of accepted streams. */
  throttled?: boolean;
  /** Reading all the same: the default of other streams. */
  unthrottled?: boolean;
  /** It ends with ETIMEDOUT after this long without a byte. */
  idleTimeout?: number;
  /** How long a close may take; 10 s. */
  linger?: number;
  /** Only for `connect`: after this long without a connection it ends with ETIMEDOUT. */
  connectTimeout?: number;
  /** As in {@link LoopOptions}, for this stream. */
  highMark?: number;
  lowMark?: number;
}

export interface ConnectOptions extends StreamOptions {
  /** The address that it comes from, numeric or unix:@name. */
  source?: string;
}

/** How a listener and its streams behave. */
export interface ListenOptions extends StreamOptions {
  /** Several loops accept at one address. */
  reusePort?: boolean;
  /** An IPv6 socket takes no IPv4 callers. */
  onlyIPv6?: boolean;
  /** 1,024. */
  backlog?: number;
  /** Connections accepted in one turn; 64. */
  acceptBatch?: number;
  /** Connections open at once; no limit. */
  connectionLimit?: number;
  /** Who may connect to a unix path, such as 0o600; as the umask says. */
  unixMode?: number;
}

/** Counted since the loop was opened. */
export interface Statistics {
  /** Waits. */
  turns: number;
  /** Events that were pulled, by their kind. */
  events: number[];
  /** Handles there are now, by {@link Loop.kindOf}. */
  handles: number[];
  bytesReceived: number;
  bytesSent: number;
  /** System calls. */
  receives: number;
  sends: number;
  accepts: number;
  /** Bytes that are queued or held now. */
  queueMemory: number;
  /** The longest time from one wait to the next. */
  longestGap: number;
}

/**
 * Looks after handles, and is pulled. It belongs to its thread: a worker cannot be given one. A
 * {@link Poster} is what other threads use.
 *
 * A loop that is dropped is ended when it is collected. After its end every call throws
 * 'SLUICE_ENULL'.
 */
export class Loop implements Iterable<Event> {
  /**
   * An option that is unknown or out of its range throws 'SLUICE_EOPTION'. So it is with all
   * options.
   */
  constructor(options?: LoopOptions);

  /** Ends all handles, without an event, and the loop. A second one does nothing. */
  destroy(): void;

  /**
   * The next event; null if `timeout` has passed without one, or after a wake. Blocks the thread.
   *
   * When the process ends while a worker is in a pull, its pull throws 'ECANCELED', if the main
   * thread has loaded this package too.
   */
  next(timeout?: number): Event | null;

  /**
   * Pulls as many events as there are, up to `most`, and never more than 1,024. With Infinity it pulls as
   * many as one call can give. It waits only for the first. It returns an empty array if `next` would
   * return null. `hold` and `holdUntil` take only the last event of them.
   */
  nextMany(timeout?: number, most?: number): Event[];

  /** Pulls for ever, and passes over wakes. An iteration that is left loses nothing. */
  [Symbol.iterator](): IterableIterator<Event>;

  /** Another thread makes a {@link Poster} from this. */
  readonly poster: bigint;

  /** As {@link Poster.post}. */
  post(value: bigint | number): void;

  /** As {@link Poster.wake}. */
  wake(): void;

  /** CLOCK_MONOTONIC as of the last wait. Timers count from it. */
  now(): number;

  /** Reads that clock again. */
  updateNow(): number;

  /** A descriptor that is readable when there are events to pull. Only epoll has one. */
  backendFd(): number;

  /** The time after which there may be an event too. Infinity for never. */
  untilNext(): number;

  stats(): Statistics;

  /**
   * Accepts connections at an address: 127.0.0.1:9999, [::1]:0, *:9999, unix:/run/echo.sock. A name,
   * such as localhost:9999, is looked up first, which may take seconds.
   */
  listen(address: string, options?: ListenOptions): Id;

  /**
   * Makes a listener of a socket that listens already. The loop owns the descriptor from then on.
   * If the call fails, it stays the caller's. Do not give it the descriptor of a net.Server, which
   * the server owns.
   */
  listenFd(fd: number, options?: ListenOptions): Id;

  /** Makes a stream to an address or a name. CONNECTED comes, or CLOSED with an error. */
  connect(address: string, options?: ConnectOptions): Id;

  /** Makes a stream of a descriptor, which the loop owns from then on, as with `listenFd`. */
  adopt(fd: number, options?: StreamOptions): Id;

  /** Looks up a name, such as example.com:443: RESOLVED brings its addresses. */
  resolve(address: string, family?: 0 | 4 | 6): Id;

  /** Reports READY for a descriptor. It stays the caller's: close the watch before it. */
  watch(fd: number, interest: number): Id;

  /** Changes what a watch waits for. */
  rewatch(id: Id, interest: number): void;

  /** Reports TIMER after `first` and, if `repeat` is not 0, every `repeat` after that. */
  timer(first: number, repeat?: number): Id;

  /** Starts a timer again. */
  timerReset(id: Id, first: number): void;

  /**
   * Reports SIGNAL each time that the signal comes: 'SIGTERM', or its number. Listeners of `process.on`
   * are not called for it while the handle lives. It makes no difference when they are added or removed.
   * Only one loop of a process may have a signal. If a worker has it, the main thread must have loaded
   * this package too. Otherwise Node.js takes the signal from the loop when the main thread adds the first
   * listener or removes the last.
   */
  signal(signal: NodeJS.Signals | number): Id;

  /** Ends a handle. A stream first sends what is queued. CLOSED tells when it has ended. */
  close(id: Id): void;

  /**
   * Ends a handle at once. `reason` becomes the error of the stream's CLOSED: an Error with a `code`
   * or an `errno` of the system's or of Sluice's, or with such a `cause`.
   */
  abort(id: Id, reason?: Error): void;

  /**
   * The value that is attached to a handle. At first it is undefined, or for a new connection its
   * listener's.
   */
  user(id: Id): any;

  /** Attaches a value of any kind, which comes with each event of the handle. */
  setUser(id: Id, user: any): void;

  /** The descriptor of a watch, listener or stream. Its owner stays the same: do not close it. */
  fd(id: Id): number;

  /** 1 is a watch, 2 a timer, 3 a signal, 4 a listener, 5 a stream, 6 a lookup. */
  kindOf(id: Id): number;

  /** The address of a stream's own end, or of a listener. */
  localAddress(id: Id): string;

  /** The address of a stream's peer. */
  peerAddress(id: Id): string;

  /**
   * Queues bytes, all or none. They are sent with all others at the next pull. If there is no room
   * for them, it says FULL and ends the stream: its CLOSED has 'SLUICE_EFULL'.
   */
  write(id: Id, data: string | NodeJS.ArrayBufferView): Written;

  /** As `write`, except that after FULL the stream goes on as it was. */
  tryWrite(id: Id, data: string | NodeJS.ArrayBufferView): Written;

  /**
   * Makes the kernel send bytes of a file, after everything that was written. Returns how many went.
   * If they are fewer than `length`, DRAINED says when to go on with the rest. Null if the stream is
   * gone. What is thrown is about the file, and the stream goes on.
   */
  sendFile(id: Id, fd: number, offset?: number, length?: number): number | null;

  /** Sends now what is queued. */
  flush(id: Id): Written;

  /**
   * Sends what is queued, and then tells the peer that no more comes. A listener accepts those who
   * wait already, lets no more in, and ends with a CLOSED.
   */
  shutdown(id: Id): Written;

  /** Stops DATA and EOF. */
  pause(id: Id): void;

  /** Lets DATA and EOF come again. */
  resume(id: Id): void;

  /**
   * Makes the last `length` bytes of the DATA that was pulled last come again, joined with what
   * follows. If there is no room for them, the stream ends, as with `write`.
   */
  hold(id: Id, length: number): void;

  /** As `hold`, and no DATA comes before `total` bytes are there, or the stream ends. */
  holdUntil(id: Id, length: number, total: number): void;

  /** How many bytes are queued. */
  pending(id: Id): number;

  /** Writes what the stream `from` receives to the stream `to`. 0n for `to` ends that. */
  forward(from: Id, to: Id): void;
}

/** A descriptor that is ready. */
export interface Ready {
  fd: number;
  /** A set of READ, WRITE, PRIORITY, ERROR, … */
  ready: number;
  /** What `add` or `modify` was given. */
  user: any;
}

/**
 * Readiness by itself: descriptors, and the call that waits until one of them is ready. It does no
 * I/O. A descriptor stays the caller's: remove it before you close it.
 */
export class Poller {
  /** 'epoll', 'poll' or 'select'; the best there is. */
  constructor(backend?: string);

  /** Ends it. After that every call throws 'SLUICE_ENULL'. */
  destroy(): void;

  /** Registers a descriptor. `interest` is a set of READ, WRITE, PRIORITY, EDGE, ONE_SHOT, HANGUP. */
  add(fd: number, interest: number, user?: any): void;

  /** Replaces the interest, and the value too if there is one. Arms a one-shot registration again. */
  modify(fd: number, interest: number, user?: any): void;

  /** Ends a registration. */
  remove(fd: number): void;

  /**
   * Returns the descriptors that are ready, up to `most`, which may be up to 1,024. Blocks the
   * thread. Empty after a wake.
   */
  wait(timeout?: number, most?: number): Ready[];

  /** Another thread makes a {@link Poster} from this: its `wake` ends the wait. */
  readonly poster: bigint;

  /** Ends the next wait. */
  wake(): void;

  /** The name of the backend. */
  readonly backend: string;

  /** A set: 1 one-shot, 2 edge, 4 tells ERROR, HANGUP and READ_CLOSED apart, 8 PRIORITY. */
  readonly features: number;

  /** A descriptor that is readable when a wait would bring something. Only epoll has one. */
  backendFd(): number;
}

/** The names of the backends, best first. */
export function backends(): string[];

/** The part of a loop or a poller that any thread may use. */
export class Poster {
  /** Takes the `poster` of a loop or a poller, which can be sent to any thread of the process. */
  constructor(poster: bigint);

  /** Brings a POSTED event with `value`, from 0 to 2^64 - 1, and ends the pull. A poller has no events. */
  post(value: bigint | number): void;

  /** Ends the pull that is under way, or else the next one, without an event. */
  wake(): void;
}

/** The slot of an id: a small number that no other live handle of its kind has in its loop. */
export function slotOf(id: Id): number;
