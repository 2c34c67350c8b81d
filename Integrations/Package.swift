// swift-tools-version: 6.2
// Sluice together with other packages for servers. It is a package of its own, so that a program
// that depends only on Sluice resolves none of them.
import PackageDescription

let settings: [SwiftSetting] = [
    .strictMemorySafety(), .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]
let sluice: Target.Dependency = .product(name: "Sluice", package: "sluice")

let package = Package(
    name: "sluice-integrations",
    products: [
        .library(name: "SluiceMetrics", targets: ["SluiceMetrics"]),
        .library(name: "SluiceLifecycle", targets: ["SluiceLifecycle"]),
    ],
    dependencies: [
        .package(name: "sluice", path: ".."),
        // Only for the tests. swift-service-lifecycle needs it anyway.
        .package(url: "https://github.com/apple/swift-async-algorithms.git", from: "1.1.0"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .target(
            name: "SluiceMetrics",
            dependencies: [sluice, .product(name: "Metrics", package: "swift-metrics")],
            swiftSettings: settings
        ),
        .target(
            name: "SluiceLifecycle",
            dependencies: [
                sluice,
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),
        // Built as most packages are: without upcoming features.
        .testTarget(
            name: "AlgorithmsTests",
            dependencies: [
                sluice, .product(name: "AsyncAlgorithms", package: "swift-async-algorithms"),
            ],
            swiftSettings: [.strictMemorySafety()]
        ),
        .testTarget(
            name: "SluiceMetricsTests",
            dependencies: [
                "SluiceMetrics", .product(name: "MetricsTestKit", package: "swift-metrics"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "SluiceLifecycleTests",
            dependencies: ["SluiceLifecycle"],
            swiftSettings: settings
        ),
    ],
    swiftLanguageModes: [.v6]
)
