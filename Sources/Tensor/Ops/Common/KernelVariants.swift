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

/// All kernels of all rooms. A room keeps its list beside its launcher, as an extension of this type, and has one line here.
public enum KernelVariants {
  /// What `Scripts/kernels` compiles.
  public static let all: [KernelVariant] = [].flatMap { (room: [KernelVariant]) in room }
}
