import CPlatform

/// What the driver, NVRTC or cuBLASLt refused.
public struct CUDAError: Error, Equatable, CustomStringConvertible {
  /// What was to be done: "allocate 1024 bytes".
  public let wanted: String
  /// What was found instead.
  public let found: String
  /// What to do; empty where there is no advice.
  public let advice: String
  /// Whether the GPU, or a cap on it, had no memory left: less at once may do.
  public let isOutOfMemory: Bool

  /// An error in words.
  public init(wanted: String, found: String, advice: String = "", isOutOfMemory: Bool = false) {
    (self.wanted, self.found, self.advice, self.isOutOfMemory) = (wanted, found, advice, isOutOfMemory)
  }

  /// A status code of the driver, with its name and text.
  init(driver code: Int32, wanted: String, advice: String = "") {
    var (name, text): (UnsafePointer<CChar>?, UnsafePointer<CChar>?)
    _ = cuGetErrorName(code, &name)
    _ = cuGetErrorString(code, &text)
    let found = "\(name.map { String(cString: $0) } ?? "CUDA error") (\(code)): \(text.map { String(cString: $0) } ?? "no text")"
    self.init(wanted: wanted, found: found, advice: advice.isEmpty ? CUDAError.advice(code) : advice, isOutOfMemory: code == 2)
  }

  private static func advice(_ code: Int32) -> String {
    switch code {
    case 2: "use a smaller batch or context, more checkpointing, or end other programs on this GPU"
    case 3, 100, 101: "check nvidia-smi, and CUDA_VISIBLE_DEVICES"
    case 209, 222: "update the NVIDIA driver"
    // The context is lost: nothing in this process can use it again.
    case 214, 700...721: "start the program again; report how to reproduce it"
    case 803, 804: "install a driver and libraries of one version"
    default: ""
    }
  }

  /// "cannot allocate 1024 bytes: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory: use a smaller batch …".
  public var description: String { "cannot \(wanted): \(found)" + (advice.isEmpty ? "" : ": \(advice)") }
}

/// Throws a status code of the driver that is not success.
@inline(__always) func checkDriver(_ code: Int32, _ wanted: @autoclosure () -> String) throws(CUDAError) {
  if code != 0 { throw CUDAError(driver: code, wanted: wanted()) }
}
