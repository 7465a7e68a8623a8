import SwiftletCUDA
import SwiftletTensorCore

extension PlanOptions {
  /// Makes a GPU compute attention as wanted; nothing on the CPU.
  /// - Throws: where cuDNN is wanted and missing, with what installs it.
  func apply(to device: Device) throws {
    guard device.isCUDA else { return }
    if attention == .cudnn, !device.gpu.isSimulated, let error = device.gpu.dnn.error { throw error }
    device.gpu.prefersDNN = attention == .cudnn
  }
}
