// swift-tools-version: 6.2
// The programs are a package of their own. So a package that depends on Sluice resolves nothing
// that only the programs need.
import PackageDescription

/// For every Swift target: uses of unsafe constructs are marked, or do not compile cleanly.
let strict: [SwiftSetting] = [.strictMemorySafety()]

/// The article's programs have one thread, and their variables are that thread's.
let oneThread: [SwiftSetting] = strict + [.defaultIsolation(MainActor.self)]

/// The article's programs, each a folder of one file.
let articlePrograms = ["first-server", "queued-server", "complete-server", "client"]

/// What every program uses.
let common: [Target.Dependency] = [
    .product(name: "Sluice", package: "sluice"),
    .product(name: "SystemPackage", package: "swift-system"),
]

let argumentParser: Target.Dependency = .product(
    name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
    name: "sluice-programs",
    products: [
        .executable(name: "sluice-echo", targets: ["sluice-echo"])
    ],
    traits: [
        .trait(name: "Libevent", description: "Sluice's trait of that name.")
    ],
    dependencies: [
        .package(
            name: "sluice", path: "..",
            traits: [.trait(name: "Libevent", condition: .when(traits: ["Libevent"]))]),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        .executableTarget(
            name: "sluice-echo",
            dependencies: common + [
                argumentParser,
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            path: "sluice-echo",
            resources: [.embedInCode("inspector.html")],
            swiftSettings: strict
        ),
        .target(
            name: "ArticleSupport",
            dependencies: common + [argumentParser],
            path: "article/support",
            swiftSettings: oneThread
        ),
    ]
        + articlePrograms.map { program in
            .executableTarget(
                name: "article-\(program)",
                dependencies: common + ["ArticleSupport"],
                path: "article/\(program)",
                swiftSettings: oneThread
            )
        },
    swiftLanguageModes: [.v6]
)
