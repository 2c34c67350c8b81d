import Sluice

/// A server that is shown while it serves: on the terminal, or by a page.
struct ShownServer: EventHandler {
    private var server: EchoServer
    private var monitor: Monitor
    private var screen: Screen?
    private var inspector: Inspector?
    private let tick: TimerID
    private var keys: WatchID?

    init(
        _ server: EchoServer, _ settings: ServeSettings, _ screen: Screen?,
        _ inspector: Inspector?, in loop: borrowing EventLoop
    ) throws {
        self.server = server
        self.screen = screen
        self.inspector = inspector
        monitor = Monitor(settings, in: loop)
        tick = try loop.addTimer(after: .milliseconds(100), every: .milliseconds(100))
        if screen?.hasKeys == true { keys = try? loop.watch(.standardInput, for: .read) }
    }

    /// What the server has served, without what the page has taken.
    func result(in loop: borrowing EventLoop) throws -> Served {
        var served = try server.result(in: loop)
        served.bytes -= inspector?.bytesSent(in: loop) ?? 0
        return served
    }

    mutating func handle(_ event: borrowing Event, in loop: borrowing EventLoop) throws {
        var answered: StreamID?
        switch event {
        case .timer(let timer) where timer == tick: return try draw(loop)
        case .ready(let watch, _) where watch == keys: return try takeKeys(loop)
        case .signal: screen?.hurry()
        case .data(let stream, _): answered = stream
        default: break
        }
        if inspector?.takes(event, in: loop) == true { return }
        monitor.note(event, in: loop)
        try server.handle(event, in: loop)
        monitor.noteHandled()
        if screen?.isHeldBack == true, Picture.kinds.contains(event.kind) {
            // The answer goes out now, and not at the next pull.
            if let answered { loop.flush(answered) }
            try holdBack(loop)
        }
    }

    private mutating func draw(_ loop: borrowing EventLoop) throws {
        let isWatched = inspector?.isWatched == true
        guard screen != nil || isWatched else { return }
        let picture = monitor.picture(by: screen?.order ?? .received, in: loop)
        try screen?.draw(picture)
        if isWatched { try inspector?.send(picture, in: loop) }
    }

    private mutating func takeKeys(_ loop: borrowing EventLoop) throws {
        let goesOn = try screen?.takeKeys() == true
        if !goesOn, let keys { loop.close(keys) }
        try quitWhereAsked(loop)
    }

    private mutating func holdBack(_ loop: borrowing EventLoop) throws {
        let start = ContinuousClock.now
        repeat {
            try draw(loop)
        } while try screen?.waitsOn(since: start) == true
        try quitWhereAsked(loop)
    }

    private mutating func quitWhereAsked(_ loop: borrowing EventLoop) throws {
        if screen?.takeWishToQuit() == true { try server.stop(loop) }
    }
}
