import CPlatform

/// NVRTC: CUDA source to machine code. Needs no GPU. Thread-safe.
public enum KernelCompiler {
  /// What every kernel is compiled with, besides its defines and the architecture.
  public static let flags = ["--std=c++17", "--ptxas-options=-v"]

  /// What came out.
  public struct Output: Sendable {
    /// A cubin, or PTX for the driver to finish where NVRTC does not know the GPU.
    public let image: [UInt8]
    /// Warnings, and registers and spills of each kernel.
    public let log: String
  }

  /// NVRTC's version, (13, 0). Throws where the library is missing.
  public static func version() throws(CUDAError) -> (major: Int, minor: Int) {
    try CUDALibrary.nvrtc.open()
    var (major, minor): (Int32, Int32) = (0, 0)
    try check(nvrtcVersion(&major, &minor), "read NVRTC's version")
    return (Int(major), Int(minor))
  }

  /// The option for a GPU: its own name where NVRTC knows it, else the newest older virtual architecture.
  static func architectureOption(_ architecture: String) throws(CUDAError) -> String {
    try CUDALibrary.nvrtc.open()
    var count: Int32 = 0
    try check(nvrtcGetNumSupportedArchs(&count), "read NVRTC's architectures")
    var known = [Int32](repeating: 0, count: Int(count))
    try check(nvrtcGetSupportedArchs(&known), "read NVRTC's architectures")
    let number = Int32(architecture.filter(\.isNumber)) ?? 0
    if known.contains(number) { return "--gpu-architecture=\(architecture)" }
    guard let best = known.filter({ $0 < number }).max() else {
      throw CUDAError(wanted: "compile for \(architecture)", found: "NVRTC knows \(known)", advice: "install another version of NVRTC")
    }
    return "--gpu-architecture=compute_\(best)"
  }

  /// All options of a compilation: a stored kernel is known by them.
  package static func options(_ defines: [String], architecture: String) throws(CUDAError) -> [String] {
    [try architectureOption(architecture)] + flags + defines
  }

  /// A compiled source from the store, or compiled and stored. Throws the compiler's messages.
  package static func image(
    _ source: KernelSource, defines: [String], architecture: String, store: KernelStore?
  ) throws(CUDAError) -> (bytes: [UInt8], isNew: Bool) {
    let key = KernelStore.key(source, options: try options(defines, architecture: architecture), version: try version())
    if let stored = store?.load(key) { return (stored, false) }
    let image = try compile(source, defines: defines, architecture: architecture).image
    store?.save(key, image)
    return (image, true)
  }

  /// Compiles a source. `defines` are options such as "-DT=float". Throws the compiler's messages.
  public static func compile(_ source: KernelSource, defines: [String], architecture: String) throws(CUDAError) -> Output {
    let options = try options(defines, architecture: architecture)
    let title = "\(source.name)"
    var program: UnsafeMutableRawPointer?
    let used = source.usedHeaders
    let headers = used.map { terminated($0.text) }
    let code = withCStrings(used.map(\.name)) { names in
      withPointers(headers) { texts in
        terminated(source.text).withUnsafeBufferPointer { text in
          nvrtcCreateProgram(&program, text.baseAddress, title, Int32(headers.count), texts, names)
        }
      }
    }
    try check(code, "read \(title)")
    defer { _ = nvrtcDestroyProgram(&program) }
    let status = withCStrings(options) { nvrtcCompileProgram(program, Int32(options.count), $0) }
    let log = text(program, nvrtcGetProgramLogSize, nvrtcGetProgramLog)
    if status != 0 {
      throw CUDAError(
        wanted: "compile \(title) (\(options.joined(separator: " ")))", found: "\(String(cString: nvrtcGetErrorString(status)))\n\(log)")
    }
    let virtual = options[0].contains("compute_")
    let image = virtual ? bytes(program, nvrtcGetPTXSize, nvrtcGetPTX) : bytes(program, nvrtcGetCUBINSize, nvrtcGetCUBIN)
    return Output(image: image, log: log)
  }

  private static func check(_ code: Int32, _ wanted: String) throws(CUDAError) {
    if code != 0 { throw CUDAError(wanted: wanted, found: String(cString: nvrtcGetErrorString(code))) }
  }

  private static func bytes(
    _ program: UnsafeMutableRawPointer?, _ size: (UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>?) -> Int32,
    _ get: (UnsafeMutableRawPointer?, UnsafeMutablePointer<CChar>?) -> Int32
  ) -> [UInt8] {
    var count = 0
    guard size(program, &count) == 0, count > 0 else { return [] }
    return [UInt8](unsafeUninitializedCapacity: count) { buffer, written in
      let status = buffer.withMemoryRebound(to: CChar.self) { get(program, $0.baseAddress) }
      written = status == 0 ? count : 0
    }
  }

  private static func text(
    _ program: UnsafeMutableRawPointer?, _ size: (UnsafeMutableRawPointer?, UnsafeMutablePointer<Int>?) -> Int32,
    _ get: (UnsafeMutableRawPointer?, UnsafeMutablePointer<CChar>?) -> Int32
  ) -> String {
    String(decoding: bytes(program, size, get).prefix { $0 != 0 }, as: UTF8.self)
  }

  private static func terminated(_ text: UnsafeRawBufferPointer) -> [CChar] { text.map { CChar(bitPattern: $0) } + [0] }

  private static func withCStrings<Result>(_ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result) -> Result {
    withPointers(strings.map { $0.utf8CString.map { $0 } }, body)
  }

  private static func withPointers<Result>(_ texts: [[CChar]], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result) -> Result {
    let copies = texts.map { text in
      let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: text.count)
      _ = copy.initialize(from: text)
      return copy
    }
    defer { for copy in copies { copy.deallocate() } }
    // NVRTC wants no null list even for nothing.
    let pointers = copies.map { UnsafePointer($0.baseAddress) } + [nil]
    return pointers.withUnsafeBufferPointer { body($0.baseAddress!) }
  }
}
