import Swiftlet

/// The operations that `bench` measures, by name; all where there is none.
struct OperationBenches {
  let names: [String]
  let json: Bool

  /// Measures on the device and prints a line each.
  func run(on device: Device) throws {
    if device.isCUDA { return try runOnGPU(device) }
    for operation in OpBench.all where names.isEmpty || names.contains(operation.name) {
      let result = operation.run()
      Terminal.line(json ? result.json.serialized() : result.text)
    }
  }

  private func runOnGPU(_ device: Device) throws {
    try device.check()
    let ceiling = try GPUCeiling(on: device)
    Terminal.line(json ? ceiling.json.serialized() : ceiling.text + "\n\n" + GPUOpBench.Result.head)
    for operation in GPUOpBench.all where names.isEmpty || names.contains(operation.name) {
      let result = try operation.run(on: device, ceiling: ceiling)
      Terminal.line(json ? result.json.serialized() : result.text)
    }
    if names.isEmpty, case .cuda(let ordinal) = device, !device.gpu.isSimulated {
      let costs = try HostCost.measured(on: ordinal).map { "\($0.name) \(Text.fixed($0.microseconds, 2))" }
      Terminal.note("host, µs: " + costs.joined(separator: "  ") + "\n")
    }
  }
}
