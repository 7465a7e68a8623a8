import SwiftletCUDA

extension KernelVariants {
  /// The kernels of attention: the head sizes of today's models, each format at least once.
  static let attention = [
    KernelVariant(
      "Attention.cu", ["attention_forward", "attention_dq", "attention_dkv"],
      [
        plain("float32", 64, 64, rows: 4), plain("float32", 128, 128, rows: 4, cap: 1), plain("float32", 256, 256, rows: 2),
        plain("bf16", 192, 128, rows: 2),
      ]),
    KernelVariant("AttentionRows.cu", ["attention_pulls", "attention_sinks"], [[type("bf16"), KernelDefine("D", 128)]]),
    KernelVariant(
      "AttentionMMA.cu", ["attention_forward", "attention_dq", "attention_dkv"],
      [
        matrix("half16", 64, keys: 64), matrix("half16", 128, keys: 32), matrix("bf16", 96, keys: 64), matrix("bf16", 128, keys: 64),
        matrix("bf16", 256, keys: 32, cap: 1),
      ]),
    KernelVariant(
      "AttentionHopper.cu", ["attention_forward_hopper"],
      [hopper("bf16", 128, keys: 128), hopper("half16", 64, keys: 128), hopper("bf16", 96, keys: 128, cap: 1)]),
    KernelVariant(
      "AttentionHopperBackward.cu", ["attention_backward_hopper", "attention_prepare", "attention_finish"],
      [hopper("bf16", 128), hopper("half16", 64), hopper("bf16", 128, cap: 1)]),
  ]

  private static func type(_ name: String) -> KernelDefine { KernelDefine("T", name) }
  private static func plain(_ name: String, _ width: Int, _ values: Int, rows: Int, cap: Int = 0) -> [KernelDefine] {
    [type(name), KernelDefine("D", width), KernelDefine("DV", values), KernelDefine("ROWS", rows), KernelDefine("CAP", cap)]
  }
  private static func matrix(_ name: String, _ width: Int, keys: Int, cap: Int = 0) -> [KernelDefine] {
    [
      type(name), KernelDefine("D", width), KernelDefine("WARPS", 4), KernelDefine("BLOCK", keys),
      KernelDefine("PARTS", width > 128 ? 2 : 1),
      KernelDefine("CAP", cap),
    ]
  }
  private static func hopper(_ name: String, _ width: Int, keys: Int? = nil, cap: Int = 0) -> [KernelDefine] {
    [type(name), KernelDefine("D", width)] + (keys.map { [KernelDefine("BLOCK", $0)] } ?? []) + [KernelDefine("CAP", cap)]
  }
}
