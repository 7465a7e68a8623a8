import CKernels
import SwiftletCUDA
import Synchronization

// The embedded CUDA sources by file name.
// Written once, then only read.
private nonisolated(unsafe) let kernelFiles: [String: UnsafeRawBufferPointer] = {
  var files: [String: UnsafeRawBufferPointer] = [:]
  for index in 0..<swiftlet_kernel_file_count() {
    guard let file = swiftlet_kernel_file_at(index)?.pointee else { continue }
    files[String(cString: file.name)] = UnsafeRawBufferPointer(start: file.text, count: file.length)
  }
  return files
}()

/// What has been asked for, by the address of its literal.
private let knownSources = Mutex<[UInt: KernelSource]>([:])

/// The names of all embedded sources, headers left out.
package var embeddedKernelFiles: [String] { kernelFiles.keys.filter { $0.hasSuffix(".cu") }.sorted() }

/// An embedded source with the headers that it may include.
/// - Precondition: the file is embedded (`CKernels/kernels.c`).
package func kernelSource(_ file: StaticString) -> KernelSource {
  knownSources.withLock { known in
    let key = UInt(bitPattern: file.utf8Start)
    if let source = known[key] { return source }
    guard let text = kernelFiles[String(describing: file)] else { preconditionFailure("no kernel source \(file) is embedded") }
    let headers = kernelFiles.filter { $0.key.hasSuffix(".cuh") }.sorted { $0.key < $1.key }.map { (name: $0.key, text: $0.value) }
    let source = KernelSource(name: file, text: text, headers: headers)
    known[key] = source
    return source
  }
}

/// The kernel `function` of an embedded source, specialised by `defines`; compiled at its first use.
package func kernel(_ file: StaticString, _ function: StaticString, _ defines: [KernelDefine], on device: CUDADevice) -> CUDAKernel {
  device.kernel(kernelSource(file), function, defines)
}

extension DType {
  /// The type's name in kernel sources, for `-DT=`. Never a keyword: NVRTC's own headers have templates over `T`.
  package var cudaName: String {
    switch self {
    case .float32: "float32"
    case .float16: "half16"
    case .bfloat16: "bf16"
    case .int64: "int64"
    case .int32: "int32"
    case .int8: "int8"
    case .uint8: "uint8"
    }
  }
}

extension Tensor? {
  /// The first element on the GPU, or no address where there is no tensor: how kernels take operands that may be missing.
  package var addressOrNull: DevicePointer { self?.address ?? .null }
}
