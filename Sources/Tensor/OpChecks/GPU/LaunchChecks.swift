import SwiftletCUDA

extension GPUCheck {
  /// Kernels get their arguments, defines and shared memory.
  static let arguments = GPUCheck("kernels") { device in
    let out = GPUArray<UInt64>(8, on: device)
    CheckKernels.kernel("every_type", value: 77, on: device).launch(
      grid: (1, 1, 1), block: (1, 1, 1), out.pointer, out.pointer + 8, Int32(-5), UInt32(4_000_000_000), Int64(-1) << 40, UInt64.max - 1,
      Float(-0.5), Int32(9))
    let wanted: [UInt64] = [
      out.pointer.address + 8, UInt64(bitPattern: -5), 4_000_000_000, UInt64(bitPattern: -1 << 40), .max - 1,
      UInt64((-0.5 as Float).bitPattern),
      9, 77,
    ]
    // More shared memory than a kernel has without asking.
    let count = device.sharedMemoryPerBlock / 4
    let numbers = (0..<Int32(count)).map { $0 }
    let (x, y) = (GPUArray<Int32>(numbers, on: device), GPUArray<Int32>(count, on: device))
    CheckKernels.kernel("reverse", on: device).launch(
      grid: (1, 1, 1), block: (1024, 1, 1), shared: count * 4, y.pointer, x.pointer, Int32(count))
    let kernel = CheckKernels.kernel("affine", on: device)
    return [
      CheckResult(name: "kernels: arguments that did not arrive", error: differences(out.elements, wanted), tolerance: 0),
      CheckResult(
        name: "kernels: numbers lost in \(count * 4) bytes of shared memory", error: differences(y.elements, numbers.reversed()),
        tolerance: 0),
      CheckResult(
        name: "kernels: found twice", error: kernel === CheckKernels.kernel("affine", on: device) && kernel.registers > 0 ? 0 : 1,
        tolerance: 0),
    ]
  }

  /// The first error stays until it is thrown, launches do nothing meanwhile, and all is well afterwards.
  static let errors = GPUCheck("errors") { device in
    let x = GPUArray<Float>([1, 2, 3], on: device)
    let kernel = CheckKernels.kernel("affine", on: device)
    func launch(_ threads: Int) {
      kernel.launch(grid: (1, 1, 1), block: (threads, 1, 1), x.pointer, x.pointer, Float(2), Float(1), Int32(3))
    }
    launch(5000)
    launch(32)
    device.kernel(CheckKernels.source, "no_such_kernel", [KernelDefine("VALUE", 1)]).launch(grid: (1, 1, 1), block: (1, 1, 1), x.pointer)
    var text = ""
    do throws(CUDAError) { try device.check() } catch { text = error.description }
    try device.check()
    let named = text.contains("launch affine") && text.contains("5000")
    let untouched = differences(x.elements, [1, 2, 3])
    launch(32)
    return [
      CheckResult(name: "errors: \(text)", error: named ? 0 : 1, tolerance: 0),
      CheckResult(name: "errors: launches after one", error: untouched, tolerance: 0),
      CheckResult(name: "errors: launches after it was thrown", error: differences(x.elements, [3, 5, 7]), tolerance: 0),
    ]
  }

  /// A graph replays what was recorded, with memory of its own.
  static let graphs = GPUCheck("graphs") { device in
    let count = 100_000
    let x = GPUArray<Float>([Float](repeating: 1, count: count), on: device)
    let kernel = CheckKernels.kernel("affine", on: device)
    func step() {
      // x = ((x · 2) · 0.5) + 1 through memory that comes and goes.
      let half = GPUArray<Float>(count, on: device)
      let grid = ((count + 255) / 256, 1, 1)
      kernel.launch(grid: grid, block: (256, 1, 1), half.pointer, x.pointer, Float(2), Float(0), Int32(count))
      kernel.launch(grid: grid, block: (256, 1, 1), x.pointer, half.pointer, Float(0.5), Float(1), Int32(count))
    }
    let live = device.memory.liveBytes
    var kept: GPUArray<Float>?
    var graph: CUDAGraph? = try device.capture {
      for _ in 0..<50 { step() }
      kept = GPUArray<Float>(count, on: device)
      if let kept { device.copy(from: x.pointer, to: kept.pointer, bytes: x.bytes) }
    }
    let (nodes, bytes) = (graph?.nodeCount ?? 0, graph?.memoryBytes ?? 0)
    let untouched = differences(x.elements, [Float](repeating: 1, count: count))
    for _ in 0..<3 { graph?.launch() }
    let result = differences(kept?.elements ?? [], [Float](repeating: 151, count: count))
    graph = nil
    // What still holds the graph's memory may use it.
    let afterwards = differences(kept?.elements ?? [], [Float](repeating: 151, count: count))
    kept = nil
    struct Stop: Error {}
    var stopped = 0.0
    do {
      _ = try device.capture {
        step()
        throw Stop()
      }
    } catch is Stop { stopped = 1 }
    return [
      CheckResult(name: "graphs: \(nodes) nodes instead of 101", error: Double(abs(nodes - 101)), tolerance: 0),
      CheckResult(name: "graphs: \(bytes) bytes of their own", error: Double(bytes), tolerance: 2.1 * Double(x.bytes)),
      CheckResult(name: "graphs: run while recorded", error: untouched, tolerance: 0),
      CheckResult(name: "graphs: results of three runs", error: result, tolerance: 0),
      CheckResult(name: "graphs: memory that outlives one", error: afterwards, tolerance: 0),
      CheckResult(name: "graphs: bytes kept", error: Double(abs(device.memory.liveBytes - live)), tolerance: 0),
      CheckResult(name: "graphs: an error while recording", error: 1 - stopped, tolerance: 0),
    ]
  }

  /// The tensor memory accelerator reads the box asked for, and zeros beyond the edge.
  static let tensorMaps = GPUCheck("tensor maps") { device in
    if device.capability.major < 9 { return [] }
    let (rows, columns) = (70, 200)
    let numbers = (0..<rows * columns).map { UInt16(truncatingIfNeeded: $0 + 1) }
    let matrix = GPUArray<UInt16>(numbers, on: device)
    let map = try TensorMap(matrix.pointer, .uint16, sizes: [columns, rows], strides: [columns * 2], box: [64, 32])
    return [(0, 0), (64, 32), (160, 50), (-8, -1)].map { x, y in
      let box = GPUArray<UInt16>(64 * 32, on: device)
      CheckKernels.kernel("load_box", on: device).launch(grid: (1, 1, 1), block: (128, 1, 1), box.pointer, map, Int32(x), Int32(y))
      let wanted = (0..<64 * 32).map { i -> UInt16 in
        let (row, column) = (y + i / 64, x + i % 64)
        return (0..<rows).contains(row) && (0..<columns).contains(column) ? numbers[row * columns + column] : 0
      }
      return CheckResult(name: "tensor maps: box at \(x), \(y)", error: differences(box.elements, wanted), tolerance: 0)
    }
  }
}
