// swift-tools-version: 6.2
import PackageDescription

/// For every Swift target: uses of unsafe constructs are marked, or do not compile cleanly.
let strict: [SwiftSetting] = [.strictMemorySafety()]

/// The article's programs have one thread, and their variables are that thread's.
let oneThread: [SwiftSetting] = strict + [.defaultIsolation(MainActor.self)]

/// The article's programs, each a folder of one file.
let articlePrograms = ["first-server", "queued-server", "complete-server", "client"]

let package = Package(
    name: "sluice",
    products: [
        .library(name: "Sluice", targets: ["Sluice"]),
        .executable(name: "sluice-echo", targets: ["sluice-echo"]),
    ],
    traits: [
        .trait(
            name: "Libevent",
            description: "libevent as a backend; needs libevent 2.1, Debian's libevent-dev.")
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        .target(name: "CSluice", path: "CSources/CSluice"),
        .target(
            name: "CSluiceLibevent",
            dependencies: ["CSluice"],
            path: "CSources/CSluiceLibevent",
            sources: ["trait.c"],
            cSettings: [.define("SLUICE_LIBEVENT", .when(traits: ["Libevent"]))],
            linkerSettings: [.linkedLibrary("event_core", .when(traits: ["Libevent"]))]
        ),
        .target(
            name: "Sluice",
            dependencies: [
                "CSluice",
                .target(name: "CSluiceLibevent", condition: .when(traits: ["Libevent"])),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            // Lifetimes: a span that is handed out depends on the value it points into.
            swiftSettings: strict + [.enableExperimentalFeature("Lifetimes")]
        ),
        .executableTarget(
            name: "sluice-echo",
            dependencies: [
                "Sluice",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "ArticleSupport",
            dependencies: [
                "Sluice",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Examples/article/support",
            swiftSettings: oneThread
        ),
        .executableTarget(
            name: "ready-swift",
            dependencies: ["Sluice"],
            path: "Benchmarks/ready-swift",
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
            dependencies: ["Sluice"],
            swiftSettings: strict
        ),
    ]
        + articlePrograms.map { program in
            .executableTarget(
                name: "article-\(program)",
                dependencies: ["Sluice", "ArticleSupport"],
                path: "Examples/article/\(program)",
                swiftSettings: oneThread
            )
        },
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c11
)
