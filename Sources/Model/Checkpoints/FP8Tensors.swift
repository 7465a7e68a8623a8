import SwiftletFormats
import SwiftletOps
import SwiftletTensorCore

/// Matrices in 8-bit floats (F8_E4M3): with a scale for each block of 128 × 128 as DeepSeek writes them, for each row as compressed-tensors and
/// FBGEMM do, or one for the whole matrix. The number is `code · scale`, also where the scale is called `…_inv`.
extension StoredTensors {
  private static let weightScales = ["weight_scale_inv", "weight_scale"]

  /// What may stand beside the codes of a module's weight: scales of weights, and where there are some, those of activations, which are for
  /// products in 8 bits and change nothing here.
  func scaleNames(_ module: String) -> [String] {
    guard Self.weightScales.contains(where: { shape(module + $0) != nil }) else { return [] }
    return (Self.weightScales + ["input_scale", "input_scale_ub", "activation_scale", "output_scale"]).map { module + $0 }
  }

  /// Whether a companion holds scales of 8-bit floats.
  func isFloatScale(_ name: String) -> Bool { Self.weightScales.contains { name.hasSuffix("." + $0) } }

  /// Whether scales of these sizes are one for each row of `name`, or one for all.
  func scalesAreRows(_ scales: [Int], of name: String) -> Bool {
    let rows = shape(name)?.first ?? 0
    return scales == [rows] || scales == [rows, 1] || scales.allSatisfy { $0 == 1 }
  }

  /// The matrix `name` with its scales in `scale`.
  /// - Throws: naming the tensor, what is wanted and what was found.
  func floats(_ name: String, _ shape: Shape, scale: String) throws -> QuantizedMatrix {
    guard fileFormat(name) == .f8E4M3, self.shape(name) == shape.dimensions else {
      let found = "\(fileFormat(name)?.rawValue ?? "nothing") \(self.shape(name) ?? [])"
      throw CheckpointError(name, "F8_E4M3 \(shape) is wanted beside \(scale), found \(found)")
    }
    let (rows, blocks) = (shape[0], [(shape[0] + 127) / 128, (shape[1] + 127) / 128])
    let found = self.shape(scale) ?? []
    let codes = try octets(name).reshaped(shape)
    let scales = try scaleNumbers(scale)
    if scales.count == 1 {
      let all = Tensor([Float](repeating: scales.array(Float.self)[0], count: rows), [rows], part: .weights)
      return QuantizedMatrix(shape: shape, format: .fp8, codes: codes, scales: .plain(all))
    }
    if scalesAreRows(found, of: name) {
      return QuantizedMatrix(shape: shape, format: .fp8, codes: codes, scales: .plain(scales.reshaped([rows])))
    }
    guard found == blocks else {
      throw CheckpointError(
        scale,
        "one scale, [\(rows)], [\(rows), 1] (rows) or \(blocks) (blocks of 128 × 128) is wanted for a matrix \(shape), found \(found)")
    }
    return QuantizedMatrix(shape: shape, format: .fp8Blocks, codes: codes, scales: .plain(scales))
  }

  private func scaleNumbers(_ name: String) throws -> Tensor {
    // Exponents alone: 2^(byte − 127).
    if fileFormat(name) == .f8E8M0 {
      let bytes = try octets(name).array(UInt8.self)
      return Tensor(bytes.map { Exponents.numbers[Int($0)] }, Shape(shape(name) ?? []), part: .weights)
    }
    guard format(name)?.isFloat == true else {
      throw CheckpointError(name, "scales in F32, BF16, F16 or F8_E8M0 are wanted, found \(fileFormat(name)?.rawValue ?? "nothing")")
    }
    return try tensor(name).converted(to: .float32)
  }
}

/// Powers of two as single bytes (E8M0 of the OCP microscaling formats).
enum Exponents {
  /// What each byte stands for: 2^(byte − 127), 255 for no number.
  static let numbers: [Float] = (0...254).map { Float(sign: .plus, exponent: $0 - 127, significand: 1) } + [.nan]
}
