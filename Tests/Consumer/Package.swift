// swift-tools-version: 6.2
// A package that depends on the product Sluice, and on nothing else. Tests/run-consumer builds it.
import PackageDescription

let package = Package(
    name: "consumer",
    traits: [
        .trait(name: "Libevent", description: "Asks Sluice for its trait of that name.")
    ],
    dependencies: [
        .package(
            name: "sluice", path: "../..",
            traits: [.trait(name: "Libevent", condition: .when(traits: ["Libevent"]))])
    ],
    targets: [
        .executableTarget(
            name: "consumer", dependencies: [.product(name: "Sluice", package: "sluice")])
    ],
    swiftLanguageModes: [.v6]
)
