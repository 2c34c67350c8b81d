// An answer is a view of the loop's bytes and not an array of them. So an event stays a value that
// has nothing to release, and events that are not about names pay nothing for it.

public import CSluice

/// The id of a lookup of a loop: of a host name that is looked up. A lookup ends with
/// ``Event/resolved(_:_:)``.
public struct LookupID: Handle {
    /// ``HandleKind/lookup``
    public static var kind: HandleKind { .lookup }

    /// The id's number in the C interface.
    public let rawValue: UInt64

    /// The id that has this number in the C interface.
    @inlinable
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

/// Which addresses of a name are asked for.
public enum AddressFamily: UInt32, Hashable, Sendable {
    /// IPv4 addresses.
    case ipv4 = 4
    /// IPv6 addresses.
    case ipv6 = 6
}

/// What a lookup has found. It cannot be kept past the next pull. The values that it gives can.
public struct LookupAnswer: ~Escapable {
    /// The addresses, one on each line, or why there are none.
    private let text: Span<UInt8>

    /// Why there is no address: ``SluiceError/Code/unknownName`` or
    /// ``SluiceError/Code/outOfMemory``. `nil` if there is an address.
    public let error: SluiceError.Code?

    /// Makes the answer from C's. Its bytes live as long as C's: the caller binds their lifetime.
    @_lifetime(immortal)
    @usableFromInline
    init(_ event: sluice_event) {
        // If memory ran out, there may be no words either.
        if let data = unsafe event.data {
            // From `max` the compiler knows that there is nothing to check. So it leaves all of
            // this out of a program that looks up no names.
            let bytes = unsafe data.assumingMemoryBound(to: UInt8.self)
            let text = unsafe Span(_unsafeStart: bytes, count: max(0, event.length))
            self.text = unsafe _overrideLifetime(text, copying: ())
        } else {
            text = Span()
        }
        error = unsafe event.error == 0 ? nil : SluiceError.Code(rawValue: event.error)
    }
}

extension LookupAnswer {
    /// The addresses, in the order in which ``EventLoop/connect(to:options:)-(Address,_)``
    /// would try them.
    ///
    /// - Complexity: O(length of the answer).
    public var addresses: [Address] {
        error == nil ? words.split(separator: "\n").map { Address(String($0)) } : []
    }

    /// Why there is no address, in the words of getaddrinfo(3), such as "Name or service not
    /// known". `nil` if there is an address.
    public var problem: String? {
        guard let error else { return nil }
        return words.isEmpty ? error.message : words
    }

    /// In words, such as "127.0.0.1:443 [::1]:443".
    public var description: String {
        problem ?? addresses.map(\.text).joined(separator: " ")
    }

    private var words: String {
        String(decoding: text, as: UTF8.self)
    }
}

extension EventLoop {
    /// Looks up a name, such as "example.com:443". Never blocks. ``Event/resolved(_:_:)`` tells the
    /// answer. ``close(_:)`` gives the lookup up, and then no event comes. A numeric address or a
    /// unix socket's is its own answer.
    ///
    /// - Complexity: O(1).
    /// - Throws: ``SluiceError/Code/badAddress`` or another code of a wrong address,
    ///   ``SluiceError/Code/notNumeric`` for `*`, ``SluiceError/Code/full`` if too many names wait,
    ///   or an errno such as `addressFamilyNotSupported` for an address of another family.
    @discardableResult
    public func resolve(
        _ address: String, family: AddressFamily? = nil, userWord: UInt64 = 0
    ) throws(SluiceError) -> LookupID {
        try Address(address).check("resolve")
        var id: UInt64 = 0
        let code = unsafe sluice_resolve(
            handle, &id, address, family?.rawValue ?? SLUICE_ANY_FAMILY.rawValue, userWord)
        try check(code, "resolve", .text(address))
        return LookupID(rawValue: id)
    }

    /// Why a stream found no address for the name that it was to connect to, in the words of
    /// getaddrinfo(3), such as "Name or service not known". Ask for it after the stream has ended
    /// with ``SluiceError/Code/unknownName``, until another such end is pulled. `nil` for any other
    /// stream.
    ///
    /// - Complexity: O(1).
    public func nameProblem(of stream: StreamID) -> String? {
        guard let words = unsafe sluice_name_problem(handle, stream.rawValue) else { return nil }
        return unsafe String(cString: words)
    }
}
