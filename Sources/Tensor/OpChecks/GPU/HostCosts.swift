import SwiftletCUDA

/// What a call costs the host: it depends on processor, driver and virtualisation, so it is measured (`bench --device cuda`), not checked.
public struct HostCost: Sendable {
  /// The call.
  public let name: String
  /// Median over bursts that the GPU's queue takes without waiting.
  public let microseconds: Double

  /// Measures on the GPU of that number.
  public static func measured(on ordinal: Int) throws -> [HostCost] { try GPUCheck.costs(CUDADevice.open(ordinal)) }
}

extension GPUCheck {
  fileprivate static func costs(_ device: CUDADevice) throws -> [HostCost] {
    let x = GPUArray<Float>(1 << 20, on: device)
    let six = { CheckKernels.kernel("six", on: device) }
    let kernel = six()
    let lookup = cost(device) { _ = six() }
    let launch = cost(device) {
      kernel.launch(grid: (1, 1, 1), block: (32, 1, 1), x.pointer, x.pointer, x.pointer, Int32(1), Int32(2), Float(3))
    }
    let both = cost(device) {
      six().launch(grid: (1, 1, 1), block: (32, 1, 1), x.pointer, x.pointer, x.pointer, Int32(1), Int32(2), Float(3))
    }
    let memory = cost(device) {
      device.free(device.allocate(1 << 20, part: .activations), bytes: 1 << 20, part: .activations)
    }
    let matrix = BlasMatrix(x.pointer, .bfloat16, stride: 256)
    let target = BlasMatrix(x.pointer + (1 << 20), .bfloat16, stride: 256)
    let product = device.blas.error != nil ? 0 : cost(device) { device.blas.multiply(matrix, matrix, into: target, m: 128, n: 256, k: 256) }
    return [
      HostCost(name: "finding a kernel", microseconds: lookup), HostCost(name: "launch of 6 arguments", microseconds: launch),
      HostCost(name: "finding and launching", microseconds: both),
      HostCost(name: "memory taken and given back", microseconds: memory), HostCost(name: "product", microseconds: product),
      HostCost(name: "a kernel of a graph of 1000", microseconds: try replay(kernel, x, device)),
    ]
  }

  private static func cost(_ device: CUDADevice, _ body: () -> Void) -> Double {
    for _ in 0..<100 { body() }
    let times = (0..<21).map { _ -> Double in
      device.synchronize()
      let time = ContinuousClock().measure { for _ in 0..<200 { body() } }
      return microseconds(time) / 200
    }
    device.synchronize()
    return times.sorted()[10]
  }

  private static func microseconds(_ time: Duration) -> Double {
    Double(time.components.seconds) * 1e6 + Double(time.components.attoseconds) * 1e-12
  }

  private static func replay(_ kernel: CUDAKernel, _ x: GPUArray<Float>, _ device: CUDADevice) throws -> Double {
    let graph = try device.capture {
      for _ in 0..<1000 {
        kernel.launch(grid: (1, 1, 1), block: (32, 1, 1), x.pointer, x.pointer, x.pointer, Int32(1), Int32(2), Float(3))
      }
    }
    graph.launch()
    device.synchronize()
    let times = (0..<5).map { _ in
      microseconds(
        ContinuousClock().measure {
          graph.launch()
          device.synchronize()
        }) / 1000
    }
    return times.sorted()[2]
  }

  /// A kernel of known length, by events and by the clock.
  static let eventTimes = GPUCheck("times of events") { device in
    let spin = CheckKernels.kernel("spin", on: device)
    let (start, end) = (CUDAEvent(on: device), CUDAEvent(on: device))
    func measure(_ cycles: Int64) -> (events: Double, clock: Double) {
      device.synchronize()
      let time = ContinuousClock().measure {
        device.stream.record(start)
        spin.launch(grid: (1, 1, 1), block: (1, 1, 1), cycles)
        device.stream.record(end)
        device.synchronize()
      }
      return (Double(end.elapsed(since: start)), microseconds(time) / 1000)
    }
    _ = measure(1000)
    let (long, short) = (measure(20_000_000), measure(10_000_000))
    return [
      CheckResult(
        name: "events: \(long.events) ms, by the clock \(long.clock): parts apart", error: abs(long.events / long.clock - 1), tolerance: 0.1
      ),
      CheckResult(name: "events: twice the work, ratio off by", error: abs(long.events / short.events - 2), tolerance: 0.2),
    ]
  }
}
