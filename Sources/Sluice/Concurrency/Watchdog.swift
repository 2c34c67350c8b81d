#if DEBUG
    // Finds out who blocks a loop, in debug builds, for a server with a logger. It times each turn,
    // and each job within it. It names the connection of the job that took longest. If a task comes
    // back from another executor and ends before it waits again, its connection is not known.

    /// It belongs to the thread of its loop.
    @safe
    final class Watchdog {
        /// A turn that takes longer than this is logged.
        static let limit = Duration.milliseconds(100)

        /// The log that is told. Without one, nothing is timed.
        var log: ServerLog?
        private let clock = SuspendingClock()
        private var turn: SuspendingClock.Instant?
        private var longest = Duration.zero
        private var suspect: Connection?
        /// The connection whose job runs now, as far as is known.
        private var running: Connection?
        /// The connections of the jobs that are to run. The jobs keep them alive: a waiting task
        /// does.
        private var woken: [UInt: Connection] = [:]

        /// The loop has an event, or comes from one.
        func turnBegins() {
            turn = log == nil ? nil : clock.now
        }

        func turnEnds() {
            guard let log, let turn else { return }
            let took = clock.now - turn
            if took > Self.limit { log.blocked(took, longest, suspect) }
            self.turn = nil
            longest = .zero
            suspect = nil
        }

        /// A job that waited at the home of a connection is going to run.
        func wakes(_ job: UnownedJob, of connection: Connection?) {
            if log != nil { woken[Self.key(job)] = connection }
        }

        /// The running job is the home of a connection.
        func isRunning(_ connection: Connection) {
            if log != nil { running = connection }
        }

        /// Runs a job.
        func watch(_ job: UnownedJob, of core: Core, _ run: () -> Void) {
            guard log != nil else { return run() }
            running =
                unsafe woken.removeValue(forKey: Self.key(job))
                ?? core.homeNow?.takeUnretainedValue()
            let start = clock.now
            run()
            let took = clock.now - start
            if took > longest {
                longest = took
                // What the job found out meanwhile counts, too.
                suspect = unsafe core.homeNow?.takeUnretainedValue() ?? running
            }
            running = nil
        }

        /// A job is a pointer, and only one job at a time has that pointer.
        private static func key(_ job: UnownedJob) -> UInt {
            unsafe unsafeBitCast(job, to: UInt.self)
        }
    }
#endif
