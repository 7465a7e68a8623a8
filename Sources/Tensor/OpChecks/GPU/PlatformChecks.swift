import SwiftletCPU
import SwiftletCUDA

extension GPUCheck {
  /// Memory is counted to the byte, and a cap is an error that passes.
  static let memory = GPUCheck("memory") { device in
    let memory = device.memory
    let (live, weights) = (memory.liveBytes, memory.liveBytes(.weights))
    memory.resetPeak()
    let sizes = [1, 511, 4096, 1_000_003, 64 << 20]
    let blocks = sizes.map { ($0, device.allocate($0, part: .weights)) }
    let counted = abs(memory.liveBytes(.weights) - weights - sizes.reduce(0, +))
    let addresses = Set(blocks.map(\.1))
    let misplaced = blocks.filter { $0.1 == .null || $0.1.address % 256 != 0 }.count + (sizes.count - addresses.count)
    for (bytes, block) in blocks { device.free(block, bytes: bytes, part: .weights) }
    let peak = abs(memory.peakBytes - live - sizes.reduce(0, +))
    let peakOfPart = abs((memory.peakParts[.weights] ?? 0) - weights - sizes.reduce(0, +))
    let old = memory.cap
    memory.cap = memory.liveBytes + 1000
    let refused = device.allocate(1001, part: .cache)
    memory.cap = old
    var text = ""
    do throws(CUDAError) { try device.check() } catch { text = error.description }
    let tooMuch = device.allocate(2 * device.totalMemory, part: .activations)
    var full = ""
    do throws(CUDAError) { try device.check() } catch { full = error.description }
    let after = device.allocate(1001, part: .cache)
    device.free(after, bytes: 1001, part: .cache)
    let cap = refused == .null && text.contains("1001 bytes for cache") && after != .null
    return [
      CheckResult(name: "memory: bytes miscounted", error: Double(counted + peak + peakOfPart), tolerance: 0),
      CheckResult(name: "memory: blocks misplaced", error: Double(misplaced), tolerance: 0),
      CheckResult(name: "memory: a cap that fails", error: cap ? 0 : 1, tolerance: 0),
      CheckResult(name: "memory: \(full)", error: tooMuch == .null && full.contains("is full") ? 0 : 1, tolerance: 0),
      CheckResult(name: "memory: nothing but null for no bytes", error: device.allocate(0, part: .cache) == .null ? 0 : 1, tolerance: 0),
    ]
  }

  /// What goes to the GPU comes back, by each way.
  static let copies = GPUCheck("copies") { device in
    try [1, 3, 1000, 65_537, (8 << 20) + 5].flatMap { count -> [CheckResult] in
      let source = bits((count + 7) / 8, seed: UInt64(count)).flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) }
      }
      let bytes = Array(source.prefix(count))
      let first = GPUArray<UInt8>(bytes, on: device)
      let second = GPUArray<UInt8>(count, on: device)
      device.copy(from: first.pointer, to: second.pointer, bytes: count)
      let pageable = differences(second.elements, bytes)
      device.fill(second.pointer, byte: 0xa5, bytes: count)
      let filled = differences(second.elements, [UInt8](repeating: 0xa5, count: count))
      return [
        CheckResult(name: "copies of \(count) bytes", error: pageable, tolerance: 0),
        CheckResult(name: "fill of \(count) bytes", error: filled, tolerance: 0),
        CheckResult(name: "pinned copies of \(count) bytes on other streams", error: try pinned(bytes, device), tolerance: 0),
      ]
    }
  }

  // In on one stream, doubled on the second, out on the third; events keep the order.
  private static func pinned(_ bytes: [UInt8], _ device: CUDADevice) throws -> Double {
    let (source, target) = (PinnedMemory(bytes.count, on: device), PinnedMemory(bytes.count, on: device))
    bytes.withUnsafeBytes { source.pointer.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    let (first, second) = (GPUArray<UInt8>(bytes.count, on: device), GPUArray<UInt8>(bytes.count, on: device))
    let (allocated, arrived, copied) = (CUDAEvent(on: device, timing: false), CUDAEvent(on: device, timing: false), CUDAEvent(on: device))
    device.stream.record(allocated)
    device.inStream.wait(allocated)
    device.copy(from: UnsafeRawPointer(source.pointer), to: first.pointer, bytes: bytes.count, on: device.inStream)
    device.inStream.record(arrived)
    device.stream.wait(arrived)
    device.copy(from: first.pointer, to: second.pointer, bytes: bytes.count)
    device.stream.record(copied)
    device.outStream.wait(copied)
    device.copy(from: second.pointer, to: target.pointer, bytes: bytes.count, on: device.outStream)
    device.outStream.synchronize()
    return differences(Array(UnsafeRawBufferPointer(start: target.pointer, count: bytes.count)), bytes)
  }
}
