import SwiftletCUDA

/// One source as it is compiled for some specialisations: what a test run compiles for every architecture.
public struct KernelVariant: Sendable {
  /// The source's file name, "RMSNorm.cu".
  public let file: StaticString
  /// Its kernels. Each must be in what is compiled; their registers and spills are recorded.
  public let functions: [String]
  /// The specialisations, one list of defines each.
  public let defines: [[KernelDefine]]

  /// A source with its kernels and specialisations.
  public init(_ file: StaticString, _ functions: [String], _ defines: [[KernelDefine]]) {
    (self.file, self.functions, self.defines) = (file, functions, defines)
  }
}

/// All kernels of all rooms. A room keeps its list beside its launcher, in an extension of this type (`static let rmsNorm = […]`), and
/// has one line in `rooms`.
public enum KernelVariants {
  private static let rooms: [[KernelVariant]] = [
    attention, initialization, dora, quantization, blocks, elementwise, norms, crossEntropy, divergences, optimizers,
  ]

  /// What `Scripts/kernels` compiles.
  public static var all: [KernelVariant] { Array(rooms.joined()) }
}
