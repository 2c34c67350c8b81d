// swift-tools-version: 6.2
import PackageDescription

/// For every Swift target: uses of unsafe constructs are marked, or do not compile cleanly.
let strict: [SwiftSetting] = [.strictMemorySafety()]

let package = Package(
    name: "sluice",
    products: [
        .library(name: "Sluice", targets: ["Sluice"])
    ],
    traits: [
        .trait(
            name: "Libevent",
            description: "libevent as a backend; needs libevent 2.1, Debian's libevent-dev.")
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
    ],
    targets: [
        .target(
            name: "CSluice",
            path: "CSources/CSluice",
            // The folders are named in the includes: "base/platform.h".
            cSettings: [.headerSearchPath(".")]
        ),
        .target(
            name: "CSluiceLibevent",
            dependencies: ["CSluice"],
            path: "CSources/CSluiceLibevent",
            sources: ["trait.c"],
            cSettings: [
                .define("SLUICE_LIBEVENT", .when(traits: ["Libevent"])),
                .headerSearchPath("../CSluice"),
            ],
            linkerSettings: [.linkedLibrary("event_core", .when(traits: ["Libevent"]))]
        ),
        .target(
            name: "Sluice",
            dependencies: [
                "CSluice",
                .target(name: "CSluiceLibevent", condition: .when(traits: ["Libevent"])),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            // Lifetimes: a span that is handed out depends on the value it points into.
            swiftSettings: strict + [
                .enableExperimentalFeature("Lifetimes"),
                .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
            ]
        ),
        .executableTarget(
            name: "ready-swift",
            dependencies: ["Sluice"],
            path: "Benchmarks/ready-swift",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "echo-async",
            dependencies: ["Sluice"],
            path: "Benchmarks/echo-async"
        ),
        .executableTarget(
            name: "frames-swift",
            dependencies: ["Sluice"],
            path: "Benchmarks/frames-swift",
            swiftSettings: strict
        ),
        .executableTarget(
            name: "echo-swift",
            dependencies: ["Sluice"],
            path: "Benchmarks/echo-swift",
            swiftSettings: strict
        ),
        .testTarget(
            name: "SluiceTests",
            dependencies: [
                "Sluice",
                .product(name: "InMemoryLogging", package: "swift-log"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict
        ),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c11
)
