import SwiftletCUDA
import SwiftletOps
import SwiftletTensorCore

/// An op on a GPU against the same op on the processor, forward and backward, in every float format.
///
/// Inputs and the gradients that come in are rounded to the format first, so that both sides begin with the same numbers. Allowed is twice the
/// error of rounding the true result to its format, and `noise` of the largest number for sums in another order. The GPU runs twice and must
/// give the same bits.
struct OpComparison {
  let name: String
  /// Inputs with gradients, float32 on the processor; on the GPU in the format.
  let activations: [Tensor]
  /// Inputs with gradients that are float32 on the GPU too, for example weights.
  var parameters: [Tensor] = []
  /// Whether the parameters' values stay float32 on the GPU.
  var keepsParameters = false
  /// Error allowed beside rounding, in parts of the largest number.
  var noise = 2e-6
  /// Units of the format's precision, in parts of the largest number, that an op may be off because it rounds in between to 16 bits.
  var roundings = 0.0
  /// The op: activations and parameters together, on the device that it is given.
  let body: ([Tensor], Device) -> [Tensor]

  init(
    _ name: String, _ activations: [Tensor], parameters: [Tensor] = [], keepsParameters: Bool = false, noise: Double = 2e-6,
    roundings: Double = 0, _ body: @escaping ([Tensor], Device) -> [Tensor]
  ) {
    (self.name, self.activations, self.parameters, self.body) = (name, activations, parameters, body)
    (self.keepsParameters, self.noise, self.roundings) = (keepsParameters, noise, roundings)
  }

  /// The formats that activations on a GPU have.
  static let formats: [DType] = [.float32, .bfloat16, .float16]

  /// Runs the op in every format.
  func run(on device: CUDADevice) throws -> [CheckResult] {
    try OpComparison.formats.flatMap { format in
      let wanted = results(format, on: .cpu)
      let found = results(format, on: .cuda(device.ordinal))
      let again = results(format, on: .cuda(device.ordinal))
      try device.check()
      guard wanted.count == found.count else { return [CheckResult(name: "\(name): number of results", error: .infinity, tolerance: 0)] }
      return zip(wanted, found).map { compare($0, $1, label: "\(name) \(format) \($0.label)", format) }
        + [CheckResult(name: "\(name) \(format): bits that a second run changes", error: changes(found, again), tolerance: 0)]
    }
  }

  private struct Result {
    let label: String
    let format: DType
    let values: [Float]
  }

  /// Outputs, then gradients of the inputs.
  private func results(_ format: DType, on device: Device) -> [Result] {
    let isGPU = device.isCUDA
    let tape = Tape()
    let inputs = activations + parameters
    let boxes = inputs.map { _ in GradientBox() }
    let watched = inputs.enumerated().map { index, input in
      let keeps = index >= activations.count && keepsParameters
      let rounded = OpComparison.rounded(input, to: keeps ? .float32 : format)
      let value = isGPU ? rounded.moved(to: device) : rounded.float32
      return tape.watch(value, for: boxes[index])
    }
    let outputs = body(watched, device)
    let values = outputs.enumerated().map { Result(label: "output \($0)", format: $1.dtype, values: OpComparison.floats($1)) }
    tape.backward(from: probe(outputs, format, on: device))
    return values
      + boxes.enumerated().compactMap { index, box in
        box.gradient.map { Result(label: "gradient \(index)", format: $0.dtype, values: OpComparison.floats($0)) }
      }
  }

  /// A node whose gradients for the outputs are random numbers of their format.
  private func probe(_ outputs: [Tensor], _ format: DType, on device: Device) -> Tensor {
    let (shapes, formats) = (outputs.map(\.shape), outputs.map(\.dtype))
    let sum = Tensor([Float(0)], [1])
    guard let tape = tape(of: outputs) else { return sum }
    return tape.record("probe", outputs, saving: [], outputs: [sum]) { _ in
      zip(shapes, formats).enumerated().map { index, output in
        let numbers = Tensor.normal(output.0, random: Random(seed: 41, stream: UInt64(index)))
        // Both sides get numbers of the narrower format.
        let rounded = OpComparison.rounded(numbers, to: format)
        return device.isCUDA ? OpComparison.rounded(rounded.float32, to: output.1).moved(to: device) : rounded.float32
      }
    }[0]
  }

  private func compare(_ wanted: Result, _ found: Result, label: String, _ format: DType) -> CheckResult {
    guard wanted.values.count == found.values.count else { return CheckResult(name: label + ": size", error: .infinity, tolerance: 0) }
    let largest = wanted.values.reduce(0.0) { max($0, abs(Double($1))) }
    let rounding = wanted.values.reduce(0.0) { max($0, abs(Double(OpComparison.rounded($1, to: found.format)) - Double($1))) }
    let errors = zip(wanted.values, found.values).map { abs(Double($0) - Double($1)) }
    let error = errors.contains { $0.isNaN } ? .nan : errors.max() ?? 0
    let between = roundings * OpComparison.unit(format)
    return CheckResult(name: label, error: error, tolerance: 2 * rounding + (noise + between) * largest)
  }

  private func changes(_ first: [Result], _ second: [Result]) -> Double {
    zip(first, second).reduce(0) { $0 + differences($1.0.values.map(\.bitPattern), $1.1.values.map(\.bitPattern)) }
  }

  /// A tensor in float32 on the processor, off tape.
  static func floats(_ tensor: Tensor) -> [Float] { tensor.moved(to: .cpu, part: .workspace).float32.array(Float.self) }

  /// A float32 tensor of the processor in another float format.
  static func rounded(_ tensor: Tensor, to format: DType) -> Tensor {
    let values = tensor.array(Float.self)
    return switch format {
    case .bfloat16: Tensor(values.map(BFloat16.init), tensor.shape)
    case .float16: Tensor(values.map { Float16($0) }, tensor.shape)
    default: tensor.detached
    }
  }

  /// The largest relative error of rounding to 16 bits; 0 of float32, whose errors are `noise`.
  private static func unit(_ format: DType) -> Double {
    switch format {
    case .bfloat16: 0x1p-8
    case .float16: 0x1p-11
    default: 0
    }
  }

  private static func rounded(_ value: Float, to format: DType) -> Float {
    switch format {
    case .bfloat16: BFloat16(value).float
    case .float16: Float(Float16(value))
    default: value
    }
  }
}
