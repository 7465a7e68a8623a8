import SwiftletCUDA

extension KernelVariants {
  /// Kernels over elements: vectors of 16 bytes in each format, and single elements.
  static let elementwise = [
    KernelVariant(
      "Elementwise.cu",
      [
        "add_into", "add", "scale", "fill_value", "cast", "cast_rows", "scale_columns", "select_rows", "column_sums", "sum_partials",
        "spread_rows", "sum_row_groups",
      ],
      [
        list(("T", "float32"), width: 4), list(("T", "bf16"), ("FACTOR", "float32"), width: 8), list(("T", "half16"), width: 8),
        list(("T", "bf16"), ("TO", "bf16"), ("FROM", "float32"), width: 4), list(("T", "float32"), ("FROM", "half16"), width: 1),
      ]),
    KernelVariant(
      "GatedActivation.cu", ["gate_forward", "gate_backward", "gate_forward_scaled", "gate_backward_scaled"],
      formats.flatMap { format in
        [GateActivation.silu, .gelu(.tanh), .gelu(.erf), .clampedSwish(alpha: 1.702, limit: 7)].map { format + $0.defines }
      }),
    KernelVariant("RoPE.cu", ["rope"], formats.flatMap { format in (0..<2).map { format + [KernelDefine("INTERLEAVED", $0)] } }),
    KernelVariant("Dropout.cu", ["dropout"], formats + [list(("T", "bf16"), width: 1)]),
    KernelVariant(
      "Embedding.cu", ["embed", "pick_columns", "sort_blocks", "merge_runs", "add_rows", "add_columns"],
      formats + [list(("T", "bf16"), ("TABLE", "float32"), width: 4)]),
    KernelVariant(
      "Routing.cu", ["route_forward", "route_backward", "sum_slots", "sum_slots_backward"],
      formats + [list(("T", "float32"), width: 4) + [KernelDefine("SIGMOID", 1), KernelDefine("GROUPS", 1)]]),
  ]

  /// Norms: a row in a block, in a warp, in a part of one, and one that vectors do not divide.
  static let norms = [
    KernelVariant("RMSNorm.cu", ["rms_norm_forward", "rms_norm_backward"], rowShapes),
    KernelVariant("LayerNorm.cu", ["layer_norm_forward", "layer_norm_backward"], rowShapes),
  ]

  private static var formats: [[KernelDefine]] {
    [list(("T", "float32"), width: 4), list(("T", "bf16"), width: 8), list(("T", "half16"), width: 8)]
  }

  private static var rowShapes: [[KernelDefine]] {
    let shape = { (format: [KernelDefine], columns: Int, group: Int, threads: Int, backward: Int) in
      format + [
        KernelDefine("COLUMNS", columns), KernelDefine("GROUP", group), KernelDefine("THREADS", threads),
        KernelDefine("ARRIVED", backward), KernelDefine("PARAMETERS", backward),
      ]
    }
    let bfloat = list(("T", "bf16"), ("W", "float32"), width: 8)
    return [
      shape(bfloat, 4096, 128, 128, 0), shape(bfloat, 4096, 128, 128, 1), shape(bfloat, 128, 16, 128, 1),
      shape(list(("T", "half16"), width: 8), 1536, 128, 128, 0), shape(list(("T", "float32"), width: 4), 4096, 256, 256, 1),
      shape(list(("T", "bf16"), width: 1), 127, 128, 128, 1),
    ]
  }

  private static func list(_ types: (StaticString, String)..., width: Int) -> [KernelDefine] {
    types.map { KernelDefine($0.0, $0.1) } + [KernelDefine("WIDTH", width)]
  }
}
