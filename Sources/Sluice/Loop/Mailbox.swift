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
/// The loop is woken once, however many messages are sent before it looks. Nothing is lost when the
/// loop ends: messages that were not taken stay in the mailbox, and whoever has the mailbox can
/// ``take()`` them. In the child of a fork the mailbox works with the child's loop, from
/// ``EventLoop/afterFork()`` on. Messages that wait at the fork stay the parent's.
@safe
public final class Mailbox<Message: Sendable>: @unchecked Sendable {
    // Sendable, because only two atomic words in it change. A message belongs to its sender until
    // it is in the list, and to whoever takes it out after that. It is a linked list without a
    // lock: if another thread held a lock at a fork, the lock would stay locked in the child.
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

    /// The word that the loop gives as ``Event/posted(_:)`` when there are messages. No other
    /// mailbox of the program has the same word.
    public let word: UInt64

    /// Makes a mailbox of a loop.
    public init(of loop: borrowing EventLoop) {
        word = nextWord.add(1, ordering: .relaxed).newValue
        bell = Bell(word, loop.poster)
        loop.add(self)
    }

    deinit {
        _ = take()
    }

    /// Puts a message behind those that wait, and makes the loop look. There is always room: if the
    /// loop has no room for one more post (``EventLoop/Options/postLimit``), it is woken all the
    /// same, and looks when there is nothing else to pull.
    ///
    /// - Returns: whether the message was put there. It is not if the loop has ended.
    /// - Complexity: O(1), with one wake-up for all the messages that wait. Any thread.
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

    /// Takes all messages that wait out of the mailbox, the oldest first. Messages of one thread
    /// come in the order in which it sent them.
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
    /// Called in the child of a fork: messages that wait are the parent's.
    func afterFork()
}

/// Makes a loop look into a mailbox.
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

/// The words of mailboxes start at the upper half of the range, far from those that programs
/// choose.
private let nextWord = Atomic<UInt64>(1 << 63)
