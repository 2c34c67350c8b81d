#if DEBUG
    // Finds out who blocks a loop, in debug builds, for a server with a logger: times each turn, and each
    // job within it. The connection is that of the job which took longest. Where a task comes back
    // from another executor and ends before it waits again, nobody knows whose it was.

    /// Belongs to the thread of its loop.
    @safe
    final class Watchdog {
        /// A turn that takes longer is told of.
        static let limit = Duration.milliseconds(100)

        /// Who is told; nothing is timed where there is nobody.
        var log: ServerLog?
        private let clock = SuspendingClock()
        private var turn: SuspendingClock.Instant?
        private var longest = Duration.zero
        private var suspect: Connection?
        /// Whose job runs now, as far as is known.
        private var running: Connection?
        /// Whose jobs are to run. They keep their connections: a task that waits does.
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

        /// A job is going to run that waited at the home of a connection.
        func wakes(_ job: UnownedJob, of connection: Connection?) {
            if log != nil { woken[Self.key(job)] = connection }
        }

        /// The job that runs is the home of a connection.
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
                // What it found out meanwhile counts, too.
                suspect = unsafe core.homeNow?.takeUnretainedValue() ?? running
            }
            running = nil
        }

        /// A job is a pointer, and one job at a time has it.
        private static func key(_ job: UnownedJob) -> UInt {
            unsafe unsafeBitCast(job, to: UInt.self)
        }
    }
#endif
