import SwiftletTensorCore

/// The matrix of a linear map as it is stored.
public enum LinearWeight {
  /// [out, in], float32, bfloat16 or float16; may be trained.
  case dense(Tensor)
  /// Quantised and frozen.
  case quantized(QuantizedMatrix)

  /// Number of output features.
  public var outputs: Int {
    switch self {
    case .dense(let weight): weight.shape[0]
    case .quantized(let weight): weight.shape[0]
    }
  }

  /// Number of input features.
  public var inputs: Int {
    switch self {
    case .dense(let weight): weight.shape[1]
    case .quantized(let weight): weight.shape[1]
    }
  }

  /// [out, in].
  public var shape: Shape { [outputs, inputs] }

  /// Where the numbers or codes lie.
  var device: Device {
    switch self {
    case .dense(let weight): weight.device
    case .quantized(let weight): weight.device
    }
  }

  /// The quantised matrix; nil where dense.
  var quantized: QuantizedMatrix? {
    if case .quantized(let matrix) = self { return matrix }
    return nil
  }

  /// The tensor that may want a gradient: a dense weight.
  var trained: Tensor? {
    if case .dense(let weight) = self { return weight }
    return nil
  }

  /// Writes the matrix as the first columns of `target` [out, stride ≥ in] on the same GPU.
  func write(into target: Tensor) {
    switch self {
    case .dense(let weight):
      copyRows(weight, columns: inputs, into: target.address, stride: target.shape.columns, as: target.dtype)
    case .quantized(let weight): weight.dequantize(into: target)
    }
  }

  /// [out, in] in `dtype` on a GPU: the weight itself where it is dense and has that format, else a copy that lives as long as the caller
  /// keeps it.
  func dense(_ dtype: DType, on device: Device) -> Tensor {
    switch self {
    case .dense(let weight): return weight.dtype != dtype ? weight.cast(to: dtype, part: .workspace) : weight
    case .quantized(let weight):
      let target = Tensor(uninitialized: weight.shape, dtype, part: .workspace, on: device)
      weight.dequantize(into: target)
      return target
    }
  }
}
