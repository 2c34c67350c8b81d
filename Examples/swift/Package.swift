// swift-tools-version: 6.2
// Programs on Sluice, as a package of its own: what yours would look like.
import PackageDescription

/// A program is a folder of one file. Code that is not memory-safe gives a warning, which is an
/// error here.
func program(_ name: String) -> Target {
    let http: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
    return .executableTarget(
        name: name,
        dependencies: [
            .product(name: "Sluice", package: "sluice"),
            .product(name: "SystemPackage", package: "swift-system"),
        ] + (name == "http-async" ? [http] : []),
        path: name,
        swiftSettings: [.strictMemorySafety(), .treatAllWarnings(as: .error)]
    )
}

let package = Package(
    name: "sluice-examples",
    dependencies: [
        .package(name: "sluice", path: "../.."),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    ],
    targets: [
        "chat", "chat-async", "redis", "redis-async", "http", "http-async", "proxy", "proxy-async",
        "mux",
    ].map(program),
    swiftLanguageModes: [.v6]
)
