// swift-tools-version: 6.2
// A table, read top to bottom: one line a module, with what it uses. A module imports only modules above it.
import PackageDescription

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let strict: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
]

/// A library module: `Swiftlet` + the last word of its folder.
func module(_ path: String, uses: [Target.Dependency] = [], kernels: [String] = []) -> Target {
  let name = "Swiftlet" + path.split(separator: "/").last!
  return .target(name: name, dependencies: uses, path: "Sources/" + path, exclude: kernels, swiftSettings: strict)
}

func example(_ name: String) -> Target {
  .executableTarget(
    name: name + "Example", dependencies: ["Swiftlet"], path: "Examples/" + name, swiftSettings: strict)
}

func tests(_ name: String, uses: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: uses, path: "Tests/" + name, swiftSettings: strict)
}

let package = Package(
  name: "swiftlet",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Swiftlet", targets: ["Swiftlet"]),
    .executable(name: "swiftlet", targets: ["SwiftletCLI"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // Platform: what the machine gives
    .target(name: "CPlatform", path: "Sources/Platform/CPlatform"),
    module("Platform/CPU", uses: ["CPlatform"]),
    module("Platform/CUDA", uses: ["CPlatform", "SwiftletCPU"]),

    // Tensor: what an array of numbers is
    .target(name: "CKernels", path: "Sources/Tensor/CKernels"),  // the rooms' CUDA sources, embedded
    module("Tensor/TensorCore", uses: ["CKernels", "SwiftletCPU", "SwiftletCUDA"]),
    module(
      "Tensor/Ops", uses: ["CPlatform", "SwiftletCPU", "SwiftletCUDA", "SwiftletTensorCore"],
      kernels: [
        "Attention/attention.cuh", "Attention/Attention.cu", "Attention/AttentionHopper.cu", "Attention/AttentionHopperBackward.cu",
        "Attention/AttentionMMA.cu", "Attention/AttentionRows.cu", "Common/hopper.cuh", "Common/mma.cuh", "Common/norm.cuh",
        "Common/chunks.cuh", "Common/numbers.cuh", "Common/philox.cuh", "Common/rows.cuh",
        "Common/Dropout.cu", "Common/Initialization.cu", "LoRALinear/DoRA.cu", "Elementwise/Elementwise.cu", "Embedding/Embedding.cu",
        "GatedActivation/GatedActivation.cu",
        "LayerNorm/LayerNorm.cu", "RMSNorm/RMSNorm.cu", "RoPE/RoPE.cu", "Routing/Routing.cu",
        "CrossEntropy/CrossEntropy.cu", "LogitLosses/LogitDivergence.cu",
        "Optimizers/Optimizers.cu",
        "Quantization/Quantization.cu", "Quantization/Blocks.cu",
      ]),
    module("Tensor/OpChecks", uses: ["SwiftletCPU", "SwiftletCUDA", "SwiftletTensorCore", "SwiftletOps"]),

    // Data: bytes and text; knows no device
    module("Data/Formats", uses: [yams, "SwiftletCPU"]),
    module("Data/Hub", uses: ["SwiftletCPU", "SwiftletFormats"]),
    module("Data/Tokenizers", uses: ["SwiftletFormats"]),
    module("Data/Datasets", uses: ["SwiftletCPU", "SwiftletFormats", "SwiftletTokenizers"]),

    // Model: what a network is
    module("Model/Layers", uses: ["SwiftletCPU", "SwiftletTensorCore", "SwiftletOps"]),
    module("Model/Models", uses: ["SwiftletCPU", "SwiftletFormats", "SwiftletTensorCore", "SwiftletOps", "SwiftletLayers"]),
    module(
      "Model/Checkpoints",
      uses: [
        "SwiftletCPU", "SwiftletFormats", "SwiftletTokenizers", "SwiftletTensorCore", "SwiftletOps", "SwiftletLayers", "SwiftletModels",
      ]),

    module(
      "Model/Export",
      uses: [
        "SwiftletCPU", "SwiftletFormats", "SwiftletTokenizers", "SwiftletTensorCore", "SwiftletOps", "SwiftletLayers", "SwiftletModels",
        "SwiftletCheckpoints",
      ]),

    // Inference: token ids in, token ids out
    module("Inference", uses: ["SwiftletTensorCore", "SwiftletOps", "SwiftletLayers", "SwiftletModels"]),

    // Training
    module("Training/Tracking", uses: ["SwiftletFormats"]),
    module("Training/Optimizers", uses: ["SwiftletCPU", "SwiftletCUDA", "SwiftletTensorCore", "SwiftletOps", "SwiftletLayers"]),
    module(
      "Training/Trainers",
      uses: [
        "SwiftletCPU", "SwiftletFormats", "SwiftletTokenizers", "SwiftletDatasets", "SwiftletTensorCore", "SwiftletOps",
        "SwiftletLayers", "SwiftletModels", "SwiftletCheckpoints", "SwiftletExport", "SwiftletTracking", "SwiftletOptimizers",
      ]),

    // Product
    .target(
      name: "Swiftlet",
      dependencies: [
        "SwiftletCPU", "SwiftletCUDA", "SwiftletFormats", "SwiftletHub", "SwiftletTokenizers", "SwiftletDatasets", "SwiftletTensorCore",
        "SwiftletOps", "SwiftletOpChecks", "SwiftletLayers", "SwiftletModels", "SwiftletCheckpoints", "SwiftletInference",
        "SwiftletTracking", "SwiftletOptimizers", "SwiftletTrainers", "SwiftletExport",
      ],
      path: "Sources/Product/Umbrella", swiftSettings: strict),

    // CLI: one file per command
    .executableTarget(name: "SwiftletCLI", dependencies: ["Swiftlet", argumentParser], path: "Sources/CLI", swiftSettings: strict),

    // The embedded default: what wrote its training text
    .executableTarget(
      name: "nestling-generator", dependencies: ["SwiftletFormats", argumentParser], path: "Nestling/Generator", swiftSettings: strict),

    // What every kernel takes of the GPU, on every architecture
    .executableTarget(
      name: "kernel-check", dependencies: ["SwiftletCPU", "SwiftletCUDA", "SwiftletTensorCore", "SwiftletOps"],
      path: "Benchmarks/kernels/Check", swiftSettings: strict),

    // One idea each; the first is the README's
    example("TwelveLines"),
    example("FineTune"),
    example("Generate"),
    example("Score"),
    example("CustomLoop"),
    example("Tokenize"),

    // Tests mirror Sources
    .target(name: "TestSupport", dependencies: ["SwiftletFormats"], path: "Tests/TestSupport", swiftSettings: strict),
    tests("PlatformTests", uses: ["SwiftletCPU", "SwiftletCUDA", "CPlatform"]),
    tests("TensorCoreTests", uses: ["SwiftletTensorCore"]),
    tests("OpsTests", uses: ["SwiftletCPU", "SwiftletCUDA", "SwiftletTensorCore", "SwiftletOps", "SwiftletOpChecks"]),
    tests("FormatsTests", uses: ["SwiftletFormats", "SwiftletHub"]),
    tests("TokenizersTests", uses: ["SwiftletFormats", "SwiftletTokenizers"]),
    tests("DatasetsTests", uses: ["SwiftletFormats", "SwiftletTokenizers", "SwiftletDatasets"]),
    tests(
      "ModelTests",
      uses: [
        "SwiftletCPU", "SwiftletFormats", "SwiftletTensorCore", "SwiftletOps", "SwiftletLayers", "SwiftletModels", "SwiftletCheckpoints",
        "SwiftletExport",
      ]),
    tests(
      "InferenceTests",
      uses: ["SwiftletFormats", "SwiftletTensorCore", "SwiftletOps", "SwiftletLayers", "SwiftletModels", "SwiftletInference"]),
    tests(
      "TrainingTests",
      uses: [
        "SwiftletCPU", "SwiftletCUDA", "SwiftletFormats", "SwiftletTensorCore", "SwiftletOps", "SwiftletLayers", "SwiftletModels",
        "SwiftletCheckpoints", "SwiftletExport",
        "SwiftletTracking", "SwiftletOptimizers", "SwiftletTrainers", "TestSupport",
      ]),
    tests("CLITests", uses: ["SwiftletCUDA", "SwiftletFormats", "SwiftletModels", "Swiftlet", "TestSupport"]),
    tests(
      "ParityTests",
      uses: [
        "SwiftletCPU", "SwiftletFormats", "SwiftletTokenizers", "SwiftletDatasets", "SwiftletTensorCore", "SwiftletOps",
        "SwiftletLayers", "SwiftletModels", "SwiftletCheckpoints",
        "SwiftletOptimizers", "Swiftlet", "TestSupport",
      ]),
  ],
  swiftLanguageModes: [.v6]
)
