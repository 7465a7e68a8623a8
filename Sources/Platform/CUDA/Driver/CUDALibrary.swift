import CPlatform

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A library of NVIDIA that is opened at run time; none is needed to start.
public enum CUDALibrary: String, CaseIterable, Sendable {
  case driver, nvrtc, cublasLt, cudnn

  /// Where it was found, or why not.
  public struct Status: Sendable {
    /// The file, where it is open.
    public let path: String?
    /// Why it is not open; nil where it is.
    public let error: CUDAError?
  }

  /// Opens the library at the first call; the same answer from then on. Thread-safe.
  public var status: Status {
    switch self {
    case .driver: CUDALibrary.openedDriver
    case .nvrtc: CUDALibrary.openedNVRTC
    case .cublasLt: CUDALibrary.openedCUBLASLt
    case .cudnn: CUDALibrary.openedCUDNN
    }
  }

  /// Opens the library; throws what is missing and what installs it.
  public func open() throws(CUDAError) {
    if let error = status.error { throw error }
  }

  private static let openedDriver = CUDALibrary.driver.load()
  private static let openedNVRTC = CUDALibrary.nvrtc.load()
  private static let openedCUBLASLt = CUDALibrary.cublasLt.load()
  private static let openedCUDNN = CUDALibrary.cudnn.load()

  /// What users call it.
  public var title: String {
    switch self {
    case .driver: "the CUDA driver"
    case .nvrtc: "NVRTC"
    case .cublasLt: "cuBLASLt"
    case .cudnn: "cuDNN"
    }
  }

  /// Names that the loader knows, newest first.
  public var sonames: [String] {
    switch self {
    case .driver: ["libcuda.so.1"]
    case .nvrtc: ["libnvrtc.so.13", "libnvrtc.so.12"]
    case .cublasLt: ["libcublasLt.so.13", "libcublasLt.so.12"]
    case .cudnn: ["libcudnn.so.9"]
    }
  }

  /// The variable that names the file or its folder.
  public var variable: String { "SWIFTLET_\(rawValue.uppercased())" }

  /// What brings the library.
  public var remedy: String {
    switch self {
    case .driver: "install the NVIDIA driver, 525 or newer (Ubuntu: ubuntu-drivers install)"
    case .nvrtc:
      "pip install nvidia-cuda-nvrtc (with a driver of CUDA 12: nvidia-cuda-nvrtc-cu12), or install the CUDA toolkit; "
        + "\(variable) may name the file"
    case .cublasLt:
      "pip install nvidia-cublas (with a driver of CUDA 12: nvidia-cublas-cu12), or install the CUDA toolkit; \(variable) may name the file"
    case .cudnn:
      "pip install nvidia-cudnn-cu13 (with a driver of CUDA 12: nvidia-cudnn-cu12); \(variable) may name the file. Only `attention: cudnn` wants it"
    }
  }

  private var wheels: [String] {
    switch self {
    case .driver: []
    case .nvrtc: ["cuda_nvrtc"]
    case .cublasLt: ["cublas"]
    case .cudnn: ["cudnn"]
    }
  }

  private var number: swiftlet_cuda_library {
    switch self {
    case .driver: SWIFTLET_LIBRARY_DRIVER
    case .nvrtc: SWIFTLET_LIBRARY_NVRTC
    case .cublasLt: SWIFTLET_LIBRARY_CUBLASLT
    case .cudnn: SWIFTLET_LIBRARY_CUDNN
    }
  }

  private func load() -> Status {
    var refusals: [String] = []
    let byName = LibrarySearch.environment(variable) == nil ? sonames : []
    // A named file or folder comes first; candidates() begins with it. Without one the loader's own search is tried before the folders.
    let places = byName + LibrarySearch.candidates(sonames: sonames, variable: variable, wheels: wheels)
    for place in places {
      guard let handle = open(place) else {
        if place.hasPrefix("/") { refusals.append(dlerror().map { String(cString: $0) } ?? place) }
        continue
      }
      if let symbol = swiftlet_cuda_bind(number, handle) {
        refusals.append("\(place) lacks \(String(cString: symbol)): it is too old")
        continue
      }
      let path = swiftlet_cuda_path(handle, probe).map { String(cString: $0) } ?? place
      return Status(path: path, error: nil)
    }
    let found = refusals.isEmpty ? "\(sonames.joined(separator: " or ")) is not on this machine" : refusals.joined(separator: "; ")
    return Status(path: nil, error: CUDAError(wanted: "open \(title)", found: found, advice: remedy))
  }

  private var probe: String {
    switch self {
    case .driver: "cuInit"
    case .nvrtc: "nvrtcVersion"
    case .cublasLt: "cublasLtCreate"
    case .cudnn: "cudnnCreate"
    }
  }

  private func open(_ place: String) -> UnsafeMutableRawPointer? {
    if self == .nvrtc, let slash = place.lastIndex(of: "/") {
      // NVRTC opens its builtins by soname, which the loader does not find beside it: they are opened first.
      for builtins in LibrarySearch.matches("\(place[..<slash])/libnvrtc-builtins.so.*") { dlopen(builtins, RTLD_NOW | RTLD_GLOBAL) }
    }
    return dlopen(place, RTLD_NOW | RTLD_LOCAL)
  }
}
