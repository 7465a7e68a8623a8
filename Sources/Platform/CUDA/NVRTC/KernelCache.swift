import CPlatform
import Synchronization

/// The compiled kernels of a device. A hit costs a hash of addresses and small values and one lock; texts are compared at a miss only.
final class KernelCache: @unchecked Sendable {
  private struct Entry {
    let hash: UInt
    let source: UInt
    let function: UInt
    let defines: [KernelDefine]
    let kernel: CUDAKernel
  }

  private struct State {
    // Open addressing, a power of two, at most half full.
    var slots = [Entry?](repeating: nil, count: 256)
    var count = 0
    var modules: [String: Result<ModuleHandle, CUDAError>] = [:]
    var kernels: [String: CUDAKernel] = [:]
  }

  private struct ModuleHandle: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer?
  }

  private let state = Mutex(State())

  func find(_ source: KernelSource, _ function: StaticString, _ defines: [KernelDefine], on device: CUDADevice) -> CUDAKernel {
    let (sourceIdentity, functionIdentity) = (UInt(bitPattern: source.text.baseAddress), function.identity)
    var hash = sourceIdentity &* 0x9e37_79b9_7f4a_7c15 ^ functionIdentity
    for define in defines { hash = (hash ^ define.quickHash) &* 0xff51_afd7_ed55_8ccd }
    hash ^= hash >> 29
    return state.withLock { state in
      let mask = state.slots.count - 1
      var slot = Int(bitPattern: hash) & mask
      while let entry = state.slots[slot] {
        if entry.hash == hash, entry.source == sourceIdentity, entry.function == functionIdentity, entry.defines == defines {
          return entry.kernel
        }
        slot = (slot + 1) & mask
      }
      let kernel = make(source, function, defines, on: device, &state)
      let entry = Entry(hash: hash, source: sourceIdentity, function: functionIdentity, defines: defines, kernel: kernel)
      insert(entry, &state)
      return kernel
    }
  }

  private func insert(_ entry: Entry, _ state: inout sending State) {
    state.count += 1
    if state.count * 2 > state.slots.count {
      let old = state.slots
      state.slots = [Entry?](repeating: nil, count: old.count * 2)
      for case let entry? in old { KernelCache.place(entry, &state.slots) }
    }
    KernelCache.place(entry, &state.slots)
  }

  private static func place(_ entry: Entry, _ slots: inout [Entry?]) {
    var slot = Int(bitPattern: entry.hash) & (slots.count - 1)
    while slots[slot] != nil { slot = (slot + 1) & (slots.count - 1) }
    slots[slot] = entry
  }

  @inline(never)
  private func make(
    _ source: KernelSource, _ function: StaticString, _ defines: [KernelDefine], on device: CUDADevice, _ state: inout sending State
  ) -> CUDAKernel {
    let options = defines.map(\.option)
    let program = "\(source.name) \(UInt(bitPattern: source.text.baseAddress)) \(options.joined(separator: " "))"
    let name = "\(function)"
    let key = "\(name) \(program)"
    if let kernel = state.kernels[key] { return kernel }
    if device.isSimulated {
      let kernel = CUDAKernel(nil, name: name, on: device)
      state.kernels[key] = kernel
      return kernel
    }
    let module = state.modules[program] ?? load(source, options, on: device)
    state.modules[program] = module
    let kernel = kernel(name, in: module, source, on: device)
    state.kernels[key] = kernel
    return kernel
  }

  private func kernel(
    _ name: String, in module: Result<ModuleHandle, CUDAError>, _ source: KernelSource, on device: CUDADevice
  ) -> CUDAKernel {
    do throws(CUDAError) {
      var pointer: UnsafeMutableRawPointer?
      try checkDriver(cuModuleGetFunction(&pointer, try module.get().pointer, name), "find the kernel \(name) in \(source.name)")
      return CUDAKernel(pointer, name: name, on: device)
    } catch {
      device.fail(error)
      return CUDAKernel(nil, name: name, on: device, error: error)
    }
  }

  private func load(_ source: KernelSource, _ options: [String], on device: CUDADevice) -> Result<ModuleHandle, CUDAError> {
    do throws(CUDAError) {
      let image = try KernelCompiler.image(source, defines: options, architecture: device.architecture, store: .standard).bytes
      device.makeCurrent()
      var module: UnsafeMutableRawPointer?
      let code = image.withUnsafeBytes { cuModuleLoadData(&module, $0.baseAddress) }
      try checkDriver(code, "load \(source.name) for \(device.architecture)")
      return .success(ModuleHandle(pointer: module))
    } catch {
      return .failure(error)
    }
  }
}
