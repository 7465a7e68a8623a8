import SwiftletCUDA
import SwiftletTracking

extension DoctorReport {
  /// NVIDIA's libraries, each with its path or what installs it, and the GPUs.
  static var cuda: [Line] {
    if let error = CUDALibrary.driver.status.error {
      return [Line("cuda", "no driver: everything runs on the processor (\(error.found); with an NVIDIA GPU: \(error.advice))")]
    }
    return CUDALibrary.allCases.map(library) + gpus + [kernels].compactMap { $0 }
  }

  private static func library(_ library: CUDALibrary) -> Line {
    let subject =
      switch library {
      case .driver: "driver"
      case .nvrtc: "nvrtc"
      case .cublasLt: "cublaslt"
      case .cudnn: "cudnn"
      }
    let status = library.status
    if library == .cudnn, let error = status.error { return Line(subject, "not there, and not needed: \(error.advice)") }
    if let error = status.error { return Line(subject, error.found, .failed, fix: error.advice) }
    return Line(subject, [version(library), status.path].compactMap { $0 }.joined(separator: "  "))
  }

  private static func version(_ library: CUDALibrary) -> String? {
    switch library {
    case .driver: CUDADevice.driverVersion.map { "CUDA \($0.major).\($0.minor)" }
    case .nvrtc: (try? KernelCompiler.version()).map { "\($0.major).\($0.minor)" }
    // 130100 for 13.1.0, 120805 for 12.8.5
    case .cublasLt: CUDABlas.version.map { "\($0 / 10000).\($0 / 100 % 100).\($0 % 100)" }
    // 91400 for 9.14.0
    case .cudnn: CUDADNN.version.map { "\($0 / 10000).\($0 / 100 % 100).\($0 % 100)" }
    }
  }

  private static var gpus: [Line] {
    if let error = CUDADevice.unavailable { return [Line("gpu", error.found, .warning, fix: error.advice)] }
    return (0..<CUDADevice.count).map { ordinal in
      let subject = CUDADevice.count == 1 ? "gpu" : "gpu \(ordinal)"
      do throws(CUDAError) {
        let device = try CUDADevice.open(ordinal)
        let (free, total) = device.availableMemory
        try device.check()
        let text =
          "\(device.name)  \(device.architecture)  \(device.multiprocessors) multiprocessors  \(Text.bytes(total))  \(Text.bytes(free)) free"
        if device.capability < (7, 5) {
          return Line(subject, text, .warning, fix: "Swiftlet's kernels are for Turing (sm_75) and newer")
        }
        if free < total / 2 { return Line(subject, text, .warning, fix: "end other programs on this GPU (nvidia-smi names them)") }
        return Line(subject, text)
      } catch {
        return Line(subject, error.found, .failed, fix: error.advice.isEmpty ? nil : error.advice)
      }
    }
  }

  // Where compiled kernels are kept.
  private static var kernels: Line? { KernelStore.standard.map { disk("kernels", $0.folder) } }
}
