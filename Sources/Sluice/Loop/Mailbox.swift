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
/// what was sent and not taken stays in the mailbox, for whoever has it to ``take()``.
public final class Mailbox<Message: Sendable>: Sendable {
    private let waiting = Locked<[Message]>([])
    private let poster: EventLoop.Poster

    /// What the loop gives as ``Event/posted(_:)`` when there are messages. No other mailbox of the
    /// program has it.
    public let word: UInt64

    /// A mailbox of a loop.
    public init(of loop: borrowing EventLoop) {
        poster = loop.poster
        word = nextWord.add(1, ordering: .relaxed).newValue
    }

    /// Puts a message behind those that wait, and sees to it that the loop looks.
    ///
    /// - Returns: whether it was put there. Where the loop has ended, or has no room for one more post
    ///   (``EventLoop/Options/postLimit``), it was not.
    /// - Complexity: O(1), and one wake-up for as many as wait. Any thread.
    @discardableResult
    public func send(_ message: sending Message) -> Bool {
        waiting.withLock { waiting in
            if waiting.isEmpty {
                guard (try? poster.post(word)) != nil else { return false }
            } else if poster.isRetired {
                // The loop has not seen the post for those that wait, and never will.
                return false
            }
            waiting.append(message)
            return true
        }
    }

    /// All messages that wait, the oldest first; those of one thread in the order in which it sent
    /// them. They are not in the mailbox any more.
    ///
    /// - Complexity: O(1). Any thread.
    public func take() -> [Message] {
        waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
    }
}

/// From the top of what a word can be, far from those that programs choose.
private let nextWord = Atomic<UInt64>(1 << 63)
