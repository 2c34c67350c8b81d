private import Synchronization

/// Hands values to a loop from any thread: a result, a request, a closure.
///
/// ```swift
/// let jobs = Mailbox<@Sendable (borrowing EventLoop) -> Void>(of: loop)
/// Task.detached { jobs.send { loop in loop.write("done\n", to: stream) } }
/// …
/// case .posted(jobs.word): for job in jobs.take() { job(loop) }
/// ```
///
/// However many are sent before the loop looks, it is woken once. Nothing is lost when the loop ends:
/// what was sent and not taken stays in the mailbox, for whoever has it to ``take()``. In the child of
/// a fork it goes on with the loop, from ``EventLoop/afterFork()`` on. What waits then is the parent's.
@safe
public final class Mailbox<Message: Sendable>: @unchecked Sendable {
    // Sendable, because it is two atomic words beside what does not change; and a message belongs to
    // its sender until it is in the list, and to who has taken it out after that. A list of links and
    // no lock: what another thread had locked would stay locked in the child of a fork.
    private final class Link {
        let message: Message
        var next: UInt = 0

        init(_ message: Message) {
            self.message = message
        }
    }

    /// The message sent last, as the address of its link; 0 for none.
    private let last = Atomic<UInt>(0)
    private let bell: Bell

    /// What the loop gives as ``Event/posted(_:)`` when there are messages. No other mailbox of the
    /// program has it.
    public let word: UInt64

    /// A mailbox of a loop.
    public init(of loop: borrowing EventLoop) {
        word = nextWord.add(1, ordering: .relaxed).newValue
        bell = Bell(word, loop.poster)
        loop.add(self)
    }

    deinit {
        _ = take()
    }

    /// Puts a message behind those that wait, and sees to it that the loop looks. It never lacks room:
    /// where the loop has none for one more post (``EventLoop/Options/postLimit``), it is woken, and
    /// looks when nothing else is to be pulled.
    ///
    /// - Returns: whether it was put there: not where the loop has ended.
    /// - Complexity: O(1), and one wake-up for as many as wait. Any thread.
    @discardableResult
    public func send(_ message: sending Message) -> Bool {
        guard !bell.isRetired else { return false }
        let link = Link(message)
        let address = unsafe UInt(bitPattern: Unmanaged.passRetained(link).toOpaque())
        var before = last.load(ordering: .relaxed)
        while true {
            link.next = before
            let (isDone, found) = last.weakCompareExchange(
                expected: before, desired: address, successOrdering: .releasing,
                failureOrdering: .relaxed)
            if isDone { break }
            before = found
        }
        if before == 0 { bell.ring() }
        return true
    }

    /// All messages that wait, the oldest first; those of one thread in the order in which it sent
    /// them. They are not in the mailbox any more.
    ///
    /// - Complexity: O(messages). Any thread.
    public func take() -> [Message] {
        var messages: [Message] = []
        var address = last.exchange(0, ordering: .acquiring)
        while let pointer = unsafe UnsafeRawPointer(bitPattern: address) {
            let link = unsafe Unmanaged<Link>.fromOpaque(pointer).takeRetainedValue()
            messages.append(link.message)
            address = link.next
        }
        messages.reverse()
        return messages
    }
}

extension Mailbox: LoopMailbox {
    func takeUnposted() -> UInt64? {
        bell.takeUnposted() ? word : nil
    }

    func afterFork() {
        _ = take()
        _ = bell.takeUnposted()
    }
}

/// What a loop knows of its mailboxes.
protocol LoopMailbox: AnyObject, Sendable {
    /// The word that there was no room to post, if there is one.
    func takeUnposted() -> UInt64?
    /// Called in the child of a fork: what waits is the parent's.
    func afterFork()
}

/// Has a loop look into a mailbox.
private final class Bell: Sendable {
    private let word: UInt64
    private let poster: EventLoop.Poster
    private let isUnposted = Atomic(false)

    init(_ word: UInt64, _ poster: EventLoop.Poster) {
        self.word = word
        self.poster = poster
    }

    var isRetired: Bool { poster.isRetired }

    func ring() {
        if (try? poster.post(word)) != nil { return }
        isUnposted.store(true, ordering: .releasing)
        poster.ring()
    }

    func takeUnposted() -> Bool {
        isUnposted.exchange(false, ordering: .acquiring)
    }
}

/// From the top of what a word can be, far from those that programs choose.
private let nextWord = Atomic<UInt64>(1 << 63)
