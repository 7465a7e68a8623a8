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
  public static var best: Device { CUDADevice.count > 0 && whyNotCUDA == nil ? .cuda(0) : .cpu }

  /// Why a GPU that is there cannot be used; nil where it can, and where there is none.
  public static var whyNotCUDA: String? {
    if CUDADevice.count == 0 { return nil }
    do { _ = try CUDADevice.open(0) } catch { return "\(error)" }
    return nil
  }

  /// A GPU that is not there; see `CUDADevice.simulated`. One at a time.
  public static func simulated(capability: (major: Int, minor: Int), memory: Int) -> Device {
    _ = CUDADevice.simulated(capability: capability, memory: memory, ordinal: 1_000_000)
    return .cuda(1_000_000)
  }
}
