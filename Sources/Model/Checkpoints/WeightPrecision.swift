import SwiftletLayers
import SwiftletOps
import SwiftletTensorCore

/// Precision of a model's base weights in memory. Trained weights are always float32.
public enum WeightPrecision: String, Hashable, Sendable, CaseIterable {
  /// As the files have it.
  case stored
  case float32, float16, bfloat16
  /// 8-bit floats with a scale for each row.
  case fp8
  /// 8-bit whole numbers with a scale for each row (LLM.int8 without its outliers).
  case int8
  /// 4 bits with doubly quantised scales (QLoRA; Dettmers et al., 2023).
  case nf4
  /// NF4 with scales searched for the inputs that a text brings, but 16 bits for the layers whose 4 bits change the model's answers most
  /// (`FourBitChoice`): for weights that are stored in 16 or 32 bits.
  case dynamic4bit

  /// How the matrices of linear layers are coded; nil for dense ones.
  public var quantization: QuantizationFormat? {
    switch self {
    case .stored, .float32, .float16, .bfloat16: nil
    case .fp8: .fp8
    case .int8: .int8
    case .nf4, .dynamic4bit: .nf4
    }
  }

  /// The format of dense weights; nil for that of the files.
  public var format: WeightFormat? { WeightFormat(rawValue: rawValue) }

  /// Where a model of this precision is made.
  ///
  /// On a GPU activations have the format of dense weights (`stored`: what most of the files' tensors have), bfloat16 with quantised ones;
  /// float16 where a card has no bfloat16.
  public func placement(on device: Device, stored: DType = .bfloat16) -> Placement {
    Placement(device, computing: device.isCUDA ? activations(on: device, stored) : nil, quantization: quantization)
  }

  private func activations(on device: Device, _ stored: DType) -> DType {
    let wanted = format?.dtype ?? (quantization == nil && stored.isFloat ? stored : .bfloat16)
    return wanted == .bfloat16 && device.gpu.capability.major < 8 ? .float16 : wanted
  }
}
