// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that Sluice never depends on SwiftNIO.
let products: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
]
let package = Package(
    name: "nio-echo",
    dependencies: [.package(url: "https://github.com/apple/swift-nio", from: "2.101.0")],
    targets: [
        .executableTarget(name: "nio-echo", dependencies: products),
        .executableTarget(name: "nio-async-echo", dependencies: products),
    ]
)
