import SwiftletCPU
import SwiftletCUDA
import SwiftletTensorCore

extension SelfCheck {
  /// The checks of one device; nil: of the processor, and of the first GPU where there is one.
  public static func on(_ device: Device?) -> [SelfCheck] {
    switch device {
    case .cpu: all
    case .cuda(let ordinal): gpu(ordinal)
    case nil: all + (CUDADevice.count > 0 ? gpu(0) : [])
    }
  }

  /// What `swiftlet doctor --selftest` checks on a GPU: the platform itself, then every room that computes there.
  public static func gpu(_ ordinal: Int) -> [SelfCheck] {
    let checks = GPUCheck.platform.map { ("platform " + $0.name, $0) } + GPUCheck.rooms.map { ($0.name, $0) }
    return checks.map { name, check in SelfCheck("cuda:\(ordinal) " + name) { check.run(on: ordinal) } }
  }
}

/// A check that needs a GPU.
struct GPUCheck: Sendable {
  let name: String
  let body: @Sendable (CUDADevice) throws -> [CheckResult]

  init(_ name: String, _ body: @escaping @Sendable (CUDADevice) throws -> [CheckResult]) { (self.name, self.body) = (name, body) }

  /// Memory, copies, launches, graphs, products, times.
  static var platform: [GPUCheck] {
    [.memory, .copies, .arguments, .errors, .graphs, .tensorMaps, .profiles] + products + [.eventTimes]
  }

  /// What the rooms compute on the GPU against what they compute on the processor.
  static var rooms: [GPUCheck] { rowRooms + linear + attention + dnnAttention + quantization + blocks + heads + optimizers }

  /// Runs the check; an error on the GPU is a failed result, and so is memory that was not given back.
  func run(on ordinal: Int) -> [CheckResult] {
    do {
      let device = try CUDADevice.open(ordinal)
      _ = device.blas  // its workspace stays
      try device.check()
      let before = device.memory.liveBytes
      let results = try body(device)
      device.synchronize()
      try device.check()
      return results + [CheckResult(name: "\(name): bytes not given back", error: Double(device.memory.liveBytes - before), tolerance: 0)]
    } catch {
      return [CheckResult(name: "\(name): \(error)", error: .infinity, tolerance: 0)]
    }
  }
}

/// Numbers on a GPU, given back when the last reference goes.
final class GPUArray<Element: BitwiseCopyable & Sendable>: Sendable {
  let pointer: DevicePointer
  let count: Int
  private let device: CUDADevice

  init(_ count: Int, on device: CUDADevice) {
    (self.count, self.device) = (count, device)
    pointer = device.allocate(count * MemoryLayout<Element>.stride, part: .workspace)
  }

  convenience init(_ elements: [Element], on device: CUDADevice) {
    self.init(elements.count, on: device)
    elements.withUnsafeBytes { bytes in
      if let start = bytes.baseAddress { device.copy(from: start, to: pointer, bytes: bytes.count) }
    }
  }

  var bytes: Int { count * MemoryLayout<Element>.stride }

  var elements: [Element] {
    [Element](unsafeUninitializedCapacity: count) { buffer, written in
      if let start = buffer.baseAddress { device.copy(from: pointer, to: UnsafeMutableRawPointer(start), bytes: bytes) }
      written = count
    }
  }

  deinit { device.free(pointer, bytes: bytes, part: .workspace) }
}

/// Places where two lists differ, and 1 for lists of different lengths.
func differences<Element: Equatable>(_ a: [Element], _ b: [Element]) -> Double {
  a.count == b.count ? Double(zip(a, b).reduce(0) { $0 + ($1.0 == $1.1 ? 0 : 1) }) : 1
}

/// Bits that look random, the same for the same seed.
func bits(_ count: Int, seed: UInt64) -> [UInt64] {
  var state = seed
  return (0..<count).map { _ in
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return (state ^ state >> 31) &* 0x9e37_79b9_7f4a_7c15
  }
}
