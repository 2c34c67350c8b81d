// swift-tools-version: 6.2
// What users' packages look like: one program, built with the settings that such packages have. They are
// targets of one package, so that Sluice is built once. Tests/run-clients builds and runs them.
import PackageDescription

/// A program in a folder that links to the common one.
func client(_ name: String, _ settings: [SwiftSetting]) -> Target {
    .executableTarget(
        name: name, dependencies: [.product(name: "Sluice", package: "sluice")], path: name,
        swiftSettings: settings)
}

let package = Package(
    name: "clients",
    dependencies: [.package(name: "sluice", path: "../..")],
    targets: [
        client("plain", []),
        client("nonsending", [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),
        client("strict", [.strictMemorySafety()]),
        client("main-actor", [.defaultIsolation(MainActor.self)]),
    ],
    swiftLanguageModes: [.v6]
)
