import Foundation
import SwiftletCheckpoints
import SwiftletFormats
import SwiftletOps
import SwiftletTensorCore
import TestSupport

/// Quantised weights, bit for bit with bitsandbytes.
enum QuantParity {
  static func run(_ root: URL, _ tally: Tally) throws {
    let numbers = try ReferenceTensors(root.appending(path: "bnb_4bit.safetensors"))
    for (name, settings) in try Fixtures.json(root.appending(path: "bnb_4bit.json"))["cases"]?.object ?? JSONObject() {
      tally.check("\(name) quantise") { try quantise(name, settings, numbers) }
      tally.check("\(name) dequantise") { try dequantise(name, settings, numbers) }
    }
    tally.check("codebooks") {
      try difference(QuantizationFormat.nf4.codebook ?? [], numbers.floats("nf4_code"), absolute: 0)
        ?? difference(QuantizationFormat.fp4.codebook ?? [], numbers.floats("fp4_code"), absolute: 0)
        ?? difference(DynamicMap.signed.values, numbers.floats("dynamic_map_signed"), absolute: 0)
        ?? difference(DynamicMap.unsigned.values, numbers.floats("dynamic_map_unsigned"), absolute: 0)
    }
    tally.check("int8 rows") { try int8(numbers) }
    tally.skip("the 8-bit optimizer's steps are held by TrainingTests", 1)
    for folder in Fixtures.folders(in: root) { try QuantModelParity(folder, tally).run() }
    tally.check("mxfp4") { try microscaled(ReferenceTensors(root.appending(path: "mxfp4.safetensors"))) }
  }

  /// Every expert of a stack, and its even rows alone.
  private static func microscaled(_ numbers: ReferenceTensors) throws -> String? {
    let (blocks, scales) = (try numbers.octets("blocks"), try numbers.octets("scales"))
    let shape = try numbers.shape("dequantised_bf16")
    let wanted = try numbers.words("dequantised_bf16").map { BFloat16(bits: $0).float }
    let (rows, columns) = (shape[1], shape[2])
    for expert in 0..<shape[0] {
      for step in [1, 2] {
        let part = MXFP4.matrix(
          blocks: Tensor(blocks, [blocks.count]), scales: Tensor(scales, [scales.count]), firstRow: expert * rows, step: step,
          shape: [rows / step, columns])
        var expected: [Float] = []
        for row in stride(from: 0, to: rows / step * step, by: step) {
          let start = (expert * rows + row) * columns
          expected += wanted[start..<start + columns]
        }
        if let reason = difference(part.dequantized().array(Float.self), expected, absolute: 0) { return "expert \(expert): \(reason)" }
      }
    }
    return nil
  }

  /// A matrix of the file in its own format.
  static func matrix(_ name: String, _ numbers: ReferenceTensors) throws -> Tensor {
    let shape = Shape(try numbers.shape(name))
    switch try numbers.dtype(name) {
    case "BF16": return Tensor(try numbers.words(name).map { BFloat16(bits: $0) }, shape)
    case "F16": return Tensor(try numbers.words(name).map { Float16(bitPattern: $0) }, shape)
    default: return Tensor(try numbers.floats(name), shape)
    }
  }

  private static func format(_ name: String) -> QuantizationFormat { name.contains(".fp4.") ? .fp4 : .nf4 }

  private static func quantise(_ name: String, _ settings: JSON, _ numbers: ReferenceTensors) throws -> String? {
    let weight = try matrix("\(name.prefix(1)).weight", numbers)
    let quantised = QuantizedMatrix(
      quantizing: weight, format(name), blockSize: settings["blocksize"]?.int ?? 64, doubleQuantized: name.hasSuffix("double"))
    let packed = try numbers.octets("\(name).packed")
    if let reason = different(quantised.codes.array(UInt8.self), packed, "packed") { return reason }
    switch quantised.scales {
    case .plain(let scales): return try difference(scales.array(Float.self), numbers.floats("\(name).absmax"), absolute: 0)
    case .amongCodes: return "no scales"
    case .coded(let codes, let absmax, let map, let offset):
      return try different(codes.array(UInt8.self), numbers.octets("\(name).absmax"), "absmax")
        ?? difference(absmax.array(Float.self), numbers.floats("\(name).nested_absmax"), absolute: 0)
        ?? difference(map.array(Float.self), numbers.floats("\(name).nested_quant_map"), absolute: 0)
        ?? difference(offset.array(Float.self), numbers.floats("\(name).offset"), absolute: 0)
    }
  }

  /// The checkpoint's tensors as a matrix.
  static func stored(_ name: String, _ settings: JSON, _ numbers: ReferenceTensors) throws -> QuantizedMatrix {
    let packed = try numbers.octets("\(name).packed")
    func floats(_ key: String) throws -> Tensor {
      let values = try numbers.floats("\(name).\(key)")
      return Tensor(values, [values.count])
    }
    let scales: QuantizedMatrix.Scales
    if name.hasSuffix("double") {
      let codes = try numbers.octets("\(name).absmax")
      scales = .coded(
        codes: Tensor(codes, [codes.count]), absmax: try floats("nested_absmax"), map: try floats("nested_quant_map"),
        offset: try floats("offset"))
    } else {
      scales = .plain(try floats("absmax"))
    }
    return QuantizedMatrix(
      shape: Shape(try numbers.shape("\(name.prefix(1)).weight")), format: format(name), codes: Tensor(packed, [packed.count]),
      scales: scales, blockSize: settings["blocksize"]?.int ?? 64)
  }

  private static func dequantise(_ name: String, _ settings: JSON, _ numbers: ReferenceTensors) throws -> String? {
    let matrix = try stored(name, settings, numbers)
    if numbers.has("\(name).dequantised_f32") {
      let wanted = try numbers.floats("\(name).dequantised_f32")
      if let reason = difference(matrix.dequantized().array(Float.self), wanted, absolute: 0) { return reason }
    }
    for (suffix, dtype) in [("bf16", DType.bfloat16), ("f16", .float16)] where numbers.has("\(name).dequantised_\(suffix)") {
      let result = matrix.dequantized(dtype)
      let bits = dtype == .float16 ? result.array(Float16.self).map(\.bitPattern) : result.array(BFloat16.self).map(\.bits)
      if bits != (try numbers.words("\(name).dequantised_\(suffix)")) { return "\(suffix) differs" }
    }
    return nil
  }

  private static func int8(_ numbers: ReferenceTensors) throws -> String? {
    let quantised = QuantizedMatrix(quantizing: try matrix("int8.weight_f16", numbers), .int8)
    guard case .plain(let scales) = quantised.scales else { return "coded scales" }
    let codes = quantised.codes.array(Int8.self).map { UInt8(bitPattern: $0) }
    return try different(codes, numbers.octets("int8.CB"), "CB")
      ?? difference(scales.array(Float.self), numbers.floats("int8.SCB"), absolute: 0)
      ?? difference(quantised.dequantized().array(Float.self), numbers.floats("int8.dequantised_weight_f32"), absolute: 0)
  }

  private static func different(_ found: [UInt8], _ wanted: [UInt8], _ label: String) -> String? {
    let count = zip(found, wanted).count { $0 != $1 }
    return count == 0 && found.count == wanted.count ? nil : "\(label): \(count) of \(wanted.count) bytes differ (\(found.count) found)"
  }
}
