import SwiftletCUDA
import SwiftletTensorCore

extension Device {
  /// Opens the device.
  /// - Throws: `Failure` where there is none such, saying what is missing.
  public func check() throws {
    guard case .cuda(let number) = self else { return }
    do { _ = try CUDADevice.open(number) } catch {
      throw Failure("no CUDA device", at: "--device \(self)", why: "\(error)", fix: "leave --device out, or say --device cpu")
    }
  }

  /// The GPU where a working one is found, else the processor.
  public static var best: Device {
    guard CUDADevice.count > 0, (try? CUDADevice.open(0)) != nil else { return .cpu }
    return .cuda(0)
  }

  /// A GPU that is not there; see `CUDADevice.simulated`. One at a time.
  public static func simulated(capability: (major: Int, minor: Int), memory: Int) -> Device {
    _ = CUDADevice.simulated(capability: capability, memory: memory, ordinal: 1_000_000)
    return .cuda(1_000_000)
  }
}
