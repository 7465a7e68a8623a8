import SwiftletCUDA
import SwiftletTensorCore

extension Tensor {
  /// What `draw` fills a tensor on a GPU with.
  package enum Drawing: Int32 { case constant, normal, uniform }

  /// Fills a float tensor on a GPU with `offset + scale · number`; element `i` depends on `random` and `i` only, but is not the number that
  /// the CPU draws.
  package func draw(_ kind: Drawing, scale: Float, offset: Float = 0, _ random: Random) {
    if count == 0 { return }
    kernel("Initialization.cu", "draw", [KernelDefine("T", dtype.cudaName)], on: gpu)
      .launch(
        grid: (min(1 << 16, (count + 1023) / 1024), 1, 1), block: (256, 1, 1), address, kind.rawValue, offset, scale, random.seed,
        random.stream, Int64(count))
  }
}

extension KernelVariants {
  static let initialization = [
    KernelVariant(
      "Initialization.cu", ["draw"], [[KernelDefine("T", "bf16")], [KernelDefine("T", "half16")], [KernelDefine("T", "float32")]])
  ]
}
