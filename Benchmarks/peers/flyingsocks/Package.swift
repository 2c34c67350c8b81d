// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that Sluice never depends on FlyingFox.
let package = Package(
    name: "flyingsocks-echo",
    dependencies: [.package(url: "https://github.com/swhitty/FlyingFox", from: "0.27.1")],
    targets: [
        .executableTarget(
            name: "flyingsocks-echo",
            dependencies: [.product(name: "FlyingSocks", package: "FlyingFox")]
        )
    ]
)
