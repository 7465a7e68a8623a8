import SwiftletCUDA
import SwiftletOps
import SwiftletTensorCore

extension GPUCheck {
  /// Quantised matrices: the GPU's bits are the processor's.
  static var quantization: [GPUCheck] {
    QuantizationFormat.made.map { format in
      GPUCheck("quantised \(format)") { device in
        var results: [CheckResult] = []
        for shape in [[64, 128], [33, 127], [1, 64], [300, 1000], [129, 4104]] as [Shape] {
          for dtype in [DType.float32, .bfloat16, .float16] {
            results += quantised(format, matrix(shape, dtype), on: .cuda(device.ordinal), blockSize: shape[0] == 300 ? 128 : 64)
          }
        }
        return results + placed(on: .cuda(device.ordinal))
      }
    }
  }

  private static func matrix(_ shape: Shape, _ dtype: DType) -> Tensor {
    let values = normal(7, shape, scale: 0.05).array(Float.self).enumerated().map { $0.offset / shape[1] == 2 ? 0 : $0.element }
    switch dtype {
    case .bfloat16: return Tensor(values.map { BFloat16($0) }, shape)
    case .float16: return Tensor(values.map { Float16($0) }, shape)
    default: return Tensor(values, shape)
    }
  }

  private static func quantised(_ format: QuantizationFormat, _ matrix: Tensor, on device: Device, blockSize: Int) -> [CheckResult] {
    let name = "\(format) \(matrix.shape) of \(matrix.dtype)"
    return [true, false].prefix(format.isFourBit ? 2 : 1).flatMap { double -> [CheckResult] in
      let own = QuantizedMatrix(quantizing: matrix, format, blockSize: blockSize, doubleQuantized: double)
      let theirs = QuantizedMatrix(quantizing: matrix.moved(to: device), format, blockSize: blockSize, doubleQuantized: double)
      let codes = zip(own.tensors, theirs.tensors).reduce(0.0) { $0 + differences(octets($1.0), octets($1.1)) }
      var numbers = 0.0
      let (rows, columns) = (matrix.shape[0], matrix.shape[1])
      let factors = normal(8, [rows])
      for dtype in [DType.float32, .bfloat16, .float16] {
        for (range, padding, scaled) in [(0..<rows, 0, false), (0..<rows, 64, true), (rows / 2..<rows, 8, false)] {
          func result(_ matrix: QuantizedMatrix, _ device: Device) -> Tensor {
            let target = Tensor(zeros: [range.count, columns + padding], dtype, on: device)
            matrix.dequantize(rows: range, into: target, rowScale: scaled ? factors.moved(to: device) : nil)
            return target
          }
          numbers += differences(octets(result(own, .cpu)), octets(result(theirs, device)))
        }
      }
      return [
        CheckResult(name: "\(name): bytes of codes that differ", error: codes, tolerance: 0),
        CheckResult(name: "\(name): bytes of numbers that differ", error: numbers, tolerance: 0),
      ]
    }
  }

  private static func placed(on device: Device) -> [CheckResult] {
    let (source, factors) = (normal(9, [50, 13]), normal(10, [50]))
    return [DType.float32, .bfloat16, .float16].map { dtype in
      func result(_ device: Device) -> [UInt8] {
        let target = Tensor(zeros: [64, 40], dtype, on: device)
        placeMatrix(
          source.moved(to: device), into: target, row: 3, column: 8, size: (rows: 55, columns: 16), scale: 0.5,
          rowScale: factors.moved(to: device))
        return octets(target)
      }
      return CheckResult(name: "placeMatrix \(dtype)", error: differences(result(.cpu), result(device)), tolerance: 0)
    }
  }

  /// The bytes of a tensor on any device.
  static func octets(_ tensor: Tensor) -> [UInt8] {
    let here = tensor.moved(to: .cpu)
    return withExtendedLifetime(here.storage) { Array(UnsafeRawBufferPointer(start: here.bytes, count: here.byteCount)) }
  }
}
